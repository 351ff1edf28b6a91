package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
)

// call is a request that is to be made.
type call struct {
	method string
	path   []string
	query  url.Values
	header http.Header // what it needs beyond the usual
	token  string      // goes along as bearer token; empty for none
	body   any         // nil for none
}

// answer is what came with a value.
type answer struct {
	status int
	header http.Header
}

// once makes a call and reads its answer. A 304 gives the zero value.
func once[T any](ctx context.Context, c *Client, k *call) (value T, a answer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptWait, errNoAnswer)
	defer cancel()
	request, err := c.request(ctx, k)
	if err != nil {
		return value, a, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return value, a, unreachable(err)
	}
	defer response.Body.Close()
	a = answer{response.StatusCode, response.Header}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case response.StatusCode == http.StatusNotModified:
		return value, a, nil
	case response.StatusCode < 200 || response.StatusCode > 299:
		return value, a, problemIn(response, content)
	case err != nil:
		return value, a, &unheard{"reading the answer", withoutURL(err)}
	case len(content) > maxAnswer:
		return value, a, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(content, &value); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || len(content) == 0 { // it was cut
			return value, a, &unheard{"reading the answer", err}
		}
		return value, a, fmt.Errorf("reading the answer: %w", err)
	}
	return value, a, nil
}

var errNoAnswer = fmt.Errorf("no answer came within %s", attemptWait)

// repeat makes a call until its outcome is known, or patience is at its end.
func repeat[T any](ctx context.Context, c *Client, k *call) (T, answer, error) {
	patience := c.newPatience()
	for {
		value, a, err := once[T](ctx, c, k)
		if err == nil {
			return value, a, nil
		}
		if _, again := repeatable(err); !again {
			return value, a, err
		}
		if err := patience.pause(ctx, err); err != nil {
			return value, a, err
		}
	}
}

func (c *Client) request(ctx context.Context, k *call) (*http.Request, error) {
	target, err := c.target(k.path)
	if err != nil {
		return nil, err
	}
	target.RawQuery = k.query.Encode()
	var content io.Reader
	if k.body != nil {
		encoded, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, k.method, target.String(), content)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", withoutURL(err))
	}
	for name, values := range k.header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", userAgent)
	if k.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if k.token != "" {
		request.Header.Set("Authorization", "Bearer "+k.token)
	}
	return request, nil
}

// target gives the URL of a path below the base.
func (c *Client) target(path []string) (*url.URL, error) {
	for _, part := range path {
		if !plain(part) {
			return nil, fmt.Errorf("client: a product, ticket or request has 1 to %d of a-z A-Z 0-9 . _ -", maxPart)
		}
	}
	return c.base.JoinPath(path...), nil
}

const maxPart = 1024 // characters

// plain reports whether a part of a path means itself: no name of a product,
// ticket or request leads to another call.
func plain(part string) bool {
	if part == "" || part == "." || part == ".." || len(part) > maxPart {
		return false
	}
	return !strings.ContainsFunc(part, odd)
}

func odd(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

// problemIn reads an answer other than success. What is no problem document,
// such as a proxy's page, is known by its status alone.
func problemIn(response *http.Response, content []byte) *Problem {
	problem := &Problem{}
	if len(content) > maxAnswer || json.Unmarshal(content, problem) != nil {
		problem = &Problem{}
	}
	problem.Status = response.StatusCode
	problem.RetryAfter = retryAfter(response.Header.Get("Retry-After"))
	return problem
}
