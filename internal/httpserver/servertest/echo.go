package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const (
	methodField = "Method" // in a handler's answer: the request's method, without which a client cannot read on
	brokenField = "Broken" // in an echo: the body did not come whole
)

// marked is a handler whose answers can be told from the server's own.
func marked(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(methodField, r.Method)
		h(w, r)
	})
}

// echo reads requests whole, remembers them and answers with what they are.
type echo struct {
	mu   sync.Mutex
	seen map[string]*visit // by the client's address
}

// visit is what one client's requests were to the handler.
type visit struct {
	requests []request
	running  int
}

type request struct {
	head   string
	body   string
	broken bool // the body did not come whole
}

func newEcho() *echo { return &echo{seen: make(map[string]*visit)} }

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	v := e.seen[r.RemoteAddr]
	if v == nil {
		v = new(visit)
		e.seen[r.RemoteAddr] = v
	}
	n := len(v.requests)
	v.requests = append(v.requests, request{head: describe(r), broken: true})
	v.running++
	e.mu.Unlock()

	waits, _ := r.Context().Value(waitsForBody{}).(func(bool))
	if waits == nil {
		waits = func(bool) {}
	}
	waits(true)
	body, err := io.ReadAll(r.Body)
	waits(false)

	e.mu.Lock()
	v.requests[n].body = fmt.Sprintf("%q, trailer %s", body, header(r.Trailer))
	v.requests[n].broken = err != nil
	v.running--
	e.mu.Unlock()
	w.Header().Set(methodField, r.Method)
	if err != nil {
		w.Header().Set(brokenField, "yes")
	}
	_, _ = fmt.Fprintf(w, "%d %s %q %d\n", n, r.Method, r.RequestURI, len(body))
}

// take gives what a client's requests were, once the handler is done with them,
// and forgets them.
func (e *echo) take(client string) ([]request, error) {
	var requests []request
	if !waitFor(func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		v := e.seen[client]
		if v == nil {
			return true
		}
		requests = v.requests
		return v.running == 0
	}) {
		return nil, errors.New("the handler does not end")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.seen, client)
	return requests, nil
}

func describe(r *http.Request) string {
	return fmt.Sprintf("%s %q %s, host %q, path %q raw %q query %q, header %s, length %d, coding %q, close %v",
		r.Method, r.RequestURI, r.Proto, r.Host, r.URL.Path, r.URL.RawPath, r.URL.RawQuery,
		header(r.Header), r.ContentLength, r.TransferEncoding, r.Close)
}

func header(h http.Header) string {
	var lines []string
	for name, values := range h {
		lines = append(lines, fmt.Sprintf("%s: %q", name, values))
	}
	slices.Sort(lines)
	return "{" + strings.Join(lines, ", ") + "}"
}

// waitsForBody is the key of what a handler tells when it begins to wait for a
// body, and when it ends.
type waitsForBody struct{}

func withWaits(ctx context.Context, waits func(bool)) context.Context {
	return context.WithValue(ctx, waitsForBody{}, waits)
}
