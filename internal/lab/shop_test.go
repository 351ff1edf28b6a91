package lab

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// unchanged stands in a script for 304.
const unchanged sale.State = "unchanged"

// Answers to a click that are none.
const (
	cutOff     = -1
	asScripted = 0
)

// shop is a service that tells shoppers what a test wants them to hear.
type shop struct {
	address string
	// script gives what the buyer with a number hears, one status after the
	// other: by the click first. The last one is repeated.
	script func(number string) []status
	// refuse gives the HTTP status for a buyer's nth click (from 1), if it is
	// not to be as scripted.
	refuse func(number string, nth int) int
	// paid, if not nil, is called at every confirmation.
	paid func()

	mu     sync.Mutex
	clicks map[string]int      // by buyer
	left   map[string][]status // by ticket: what is yet to be heard
}

func open(t *testing.T, s *shop) *shop {
	t.Helper()
	s.clicks, s.left = make(map[string]int), make(map[string][]status)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/products/console/buy", s.buy)
	mux.HandleFunc("GET /v1/products/console", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"line":7}`) })
	mux.HandleFunc("GET /queue/{ticket}", s.ask)
	mux.HandleFunc("GET /queue/{ticket}/ws", s.follow)
	mux.HandleFunc("POST /v1/holds/{ticket}/confirm", s.confirm)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	buyer := r.Header.Get("X-Buyer-ID")
	number := buyer[strings.LastIndex(buyer, "-")+1:]
	s.mu.Lock()
	s.clicks[buyer]++
	nth := s.clicks[buyer]
	s.mu.Unlock()
	code := asScripted
	if s.refuse != nil {
		code = s.refuse(number, nth)
	}
	switch code {
	case asScripted:
		s.mu.Lock()
		s.left[number] = s.script(number)
		s.mu.Unlock()
		told, _ := s.next(number)
		write(w, http.StatusAccepted, told)
	case cutOff:
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n{\"ticket\":")
		_ = connection.Close()
	case http.StatusInternalServerError:
		http.Error(w, "something else", code)
	default:
		write(w, code, map[string]string{"code": map[int]string{
			http.StatusConflict: "not_open", http.StatusGone: "sold_out", http.StatusServiceUnavailable: "unavailable",
		}[code]})
	}
}

func (s *shop) ask(w http.ResponseWriter, r *http.Request) {
	told, _ := s.next(r.PathValue("ticket"))
	if told.State == unchanged {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, http.StatusOK, told)
}

// follow sends what is left, and waits for the shopper to leave.
func (s *shop) follow(w http.ResponseWriter, r *http.Request) {
	connection, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer connection.CloseNow()
	ctx := connection.CloseRead(context.Background())
	for more := true; more; {
		var told status
		told, more = s.next(r.PathValue("ticket"))
		if wsjson.Write(ctx, connection, told) != nil {
			return
		}
	}
	<-ctx.Done()
}

func (s *shop) confirm(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer merchant" {
		write(w, http.StatusUnauthorized, map[string]string{"code": "unauthorized"})
		return
	}
	if s.paid != nil {
		s.paid()
	}
	ticket := r.PathValue("ticket")
	s.mu.Lock()
	s.left[ticket] = []status{{Ticket: ticket, State: sale.Confirmed, Quantity: 1}}
	s.mu.Unlock()
	told, _ := s.next(ticket)
	write(w, http.StatusOK, told)
}

// next gives what a ticket's shopper hears now, and whether it is not the last.
func (s *shop) next(ticket string) (told status, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.left[ticket]
	told = left[0]
	told.Ticket = ticket
	if len(left) == 1 {
		return told, false
	}
	s.left[ticket] = left[1:]
	return told, true
}

// buyers gives who clicked.
func (s *shop) buyers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clicks)
}

// crowd gives a small crowd of patient shoppers who poll.
func (s *shop) crowd(buyers int) Config {
	return Config{
		Addresses: []string{s.address}, Product: "console", Buyers: buyers, Connections: 4, MaxWaiting: 1000,
		MaxStreams: 1000, Crowd: "c", Patience: time.Minute,
	}
}

func write(w http.ResponseWriter, code int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("ETag", `W/"1"`)
	w.WriteHeader(code)
	_, _ = w.Write(encoded)
}

func queued(position int64) status {
	return status{State: sale.Queued, Position: &position, Quantity: 1, PollAfterMS: 5}
}

func state(s sale.State) status { return status{State: s, Quantity: 1, PollAfterMS: 5} }

// always gives everybody the same script.
func always(script ...status) func(string) []status {
	return func(string) []status { return slices.Clone(script) }
}
