// Package client talks to anteroom's HTTP interface in the name of an
// operator: it creates sales and looks at them.
//
// An answer other than success is a [Problem]. The package starts no
// goroutines; a Client may be used by several.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// maxAnswer bounds the answer that is read, in bytes.
const maxAnswer = 16 << 20

// Config says where the service is and who asks.
type Config struct {
	// URL is the service's base, as in http://127.0.0.1:8080.
	URL string
	// OperatorToken goes along as bearer token.
	OperatorToken string
	// HTTP makes the requests; nil is a client with a timeout of 30 s.
	HTTP *http.Client
}

// Client makes calls.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client. It makes no call.
func New(config Config) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("client: %q is not the URL of a service, as in http://127.0.0.1:8080", config.URL)
	}
	caller := config.HTTP
	if caller == nil {
		caller = &http.Client{Timeout: 30 * time.Second}
	}
	return &Client{base: base, token: config.OperatorToken, http: caller}, nil
}

// Problem is an answer other than success (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // stable, for programs
}

// Error gives the problem in words.
func (p *Problem) Error() string {
	switch {
	case p.Detail != "":
		return fmt.Sprintf("%s (%d %s)", p.Detail, p.Status, p.Code)
	case p.Title != "":
		return fmt.Sprintf("%s (%d %s)", p.Title, p.Status, p.Code)
	default:
		return fmt.Sprintf("the service answered %d %s", p.Status, http.StatusText(p.Status))
	}
}

// do makes a call, reads its answer into into, and gives its HTTP status.
func (c *Client) do(ctx context.Context, method string, path []string, body, into any) (status int, err error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path...).String(), content)
	if err != nil {
		return 0, fmt.Errorf("making the request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking the service: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		problem := &Problem{}
		if err := json.Unmarshal(answer, problem); err != nil {
			problem = &Problem{}
		}
		problem.Status = response.StatusCode
		return response.StatusCode, problem
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	return response.StatusCode, nil
}

// HasCode reports whether err is a Problem with the code.
func HasCode(err error, code string) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == code
}
