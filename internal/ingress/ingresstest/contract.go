// Package ingresstest holds what an ingress answers against its description,
// the OpenAPI document that it serves. It is for tests only.
//
// What always holds:
//   - Every answer is checked: its status, its headers, its type and its body.
//     The document is open to members and headers that come later; here it is
//     closed, so that whatever is not described is found.
//   - Every call that was done is checked too: what the service takes, the
//     document describes.
//   - A mismatch is kept until the end of the run, whoever was told of it.
//
// The package starts no goroutine.
package ingresstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Contract is a description that calls are held against. Its methods may be
// called from any goroutine.
type Contract struct {
	document *openapi3.T
	router   routers.Router
	bodies   bodies

	mu         sync.Mutex
	mismatches []error
	seen       map[string]int // calls by operation and status
}

// New reads a description: OpenAPI 3.1, as YAML.
func New(description []byte) (*Contract, error) {
	closed, err := closed(description)
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(closed)
	if err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("the description is not valid: %w", err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("reading the paths of the description: %w", err)
	}
	bodies, err := compileBodies(closed)
	if err != nil {
		return nil, err
	}
	return &Contract{document: document, router: router, bodies: bodies, seen: make(map[string]int)}, nil
}

// Document gives the description as it was read.
func (c *Contract) Document() *openapi3.T { return c.document }

// Answer is what a call brought.
type Answer struct {
	Code   int
	Header http.Header
	Body   []byte
	Stream bool // Body is not known
}

// Check holds a call against the description. body is the request's, which may
// have been read already.
func (c *Contract) Check(request *http.Request, body []byte, answer Answer) error {
	name, err := c.check(request, body, answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name+" "+strconv.Itoa(answer.Code)]++
	if err == nil {
		return nil
	}
	// The path may hold a ticket, but this is a test's.
	err = fmt.Errorf("%s %s: %d %.2000s: is not as described: %w", request.Method, request.URL.Path, answer.Code, answer.Body, err)
	c.mismatches = append(c.mismatches, err)
	return err
}

// Err gives all mismatches that were found.
func (c *Contract) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.mismatches...)
}

// Missed gives what is described and was not answered yet, each as "operation
// status".
func (c *Contract) Missed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missed []string
	for path := range c.document.Paths.Map() {
		for _, operation := range c.document.Paths.Value(path).Operations() {
			for status := range operation.Responses.Map() {
				if name := operation.OperationID + " " + status; c.seen[name] == 0 {
					missed = append(missed, name)
				}
			}
		}
	}
	return missed
}

func (c *Contract) check(request *http.Request, body []byte, answer Answer) (operation string, err error) {
	route, parameters, err := c.router.FindRoute(request)
	switch {
	case errors.Is(err, routers.ErrPathNotFound) && strings.Contains(request.URL.Path, "//"):
		for _, schema := range []string{"ProblemUnknownProduct", "ProblemUnknownTicket", "ProblemUnknownRequest", "ProblemNotFound"} {
			if err = c.checkProblem(schema, http.StatusNotFound, answer); err == nil {
				return "", nil
			}
		}
		return "", err
	case errors.Is(err, routers.ErrPathNotFound):
		return "", c.checkProblem("ProblemNotFound", http.StatusNotFound, answer)
	case errors.Is(err, routers.ErrMethodNotAllowed):
		return "", c.checkProblem("ProblemMethodNotAllowed", http.StatusMethodNotAllowed, answer)
	case err != nil:
		return "", fmt.Errorf("finding its path: %w", err)
	}
	operation = route.Operation.OperationID
	input := &openapi3filter.RequestValidationInput{
		Request: withBody(request, body), PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: hasCredentials, SkipSettingDefaults: true,
			RejectWhenRequestBodyNotSpecified: true, ExcludeResponseBody: true,
		},
	}
	if answer.Code < http.StatusBadRequest { // it was done
		if err := openapi3filter.ValidateRequest(request.Context(), input); err != nil {
			return operation, fmt.Errorf("the request, which was accepted: %w", err)
		}
	}
	err = openapi3filter.ValidateResponse(request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.Code, Header: answer.Header,
		Body: io.NopCloser(bytes.NewReader(answer.Body)), Options: input.Options,
	})
	if err != nil {
		return operation, err
	}
	if err := checkRest(route.Operation, answer); err != nil {
		return operation, err
	}
	return operation, c.checkBody(route, answer)
}

// checkBody checks the body of an answer, where there is one.
func (c *Contract) checkBody(route *routers.Route, answer Answer) error {
	response := route.Operation.Responses.Status(answer.Code)
	if len(response.Value.Content) == 0 || answer.Stream {
		return nil
	}
	where := strings.TrimPrefix(response.Ref, "#")
	if where == "" {
		where = fmt.Sprintf("/paths/%s/%s/responses/%d",
			strings.ReplaceAll(route.Path, "/", "~1"), strings.ToLower(route.Method), answer.Code)
	}
	return c.bodies.checkAnswer(where, answer)
}

// checkProblem checks an answer that no operation describes.
func (c *Contract) checkProblem(schema string, code int, answer Answer) error {
	if kind := answer.Header.Get("Content-Type"); answer.Code != code || kind != "application/problem+json" {
		return fmt.Errorf("no operation describes it, so it should be %d, application/problem+json, not %d, %s", code, answer.Code, kind)
	}
	return c.CheckBody(schema, answer.Body)
}

// CheckBody holds a value that comes in another way than as an answer's body
// against a schema of the description.
func (c *Contract) CheckBody(schema string, value []byte) error {
	return c.bodies.checkNamed(schema, value)
}

// checkRest checks what openapi3filter lets pass: a status that never has a body,
// and headers and bodies that are not described.
func checkRest(operation *openapi3.Operation, answer Answer) error {
	described := operation.Responses.Status(answer.Code)
	if described == nil || described.Value == nil {
		return fmt.Errorf("status %d is not described", answer.Code)
	}
	if len(described.Value.Content) == 0 && len(answer.Body) > 0 {
		return errors.New("a body is not described")
	}
	for name, header := range described.Value.Headers {
		if header.Value.Required && answer.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	for name := range answer.Header {
		if !usual(name) && !has(described.Value.Headers, name) {
			return fmt.Errorf("the header %s is not described", name)
		}
	}
	public := len(operation.Tags) > 0 && operation.Tags[0] == "descriptions" && answer.Code == http.StatusOK
	if kept := answer.Header.Get("Cache-Control") != "no-store"; kept != public {
		return fmt.Errorf("Cache-Control is %q", answer.Header.Get("Cache-Control"))
	}
	if policy := answer.Header.Get("Referrer-Policy"); policy != "no-referrer" {
		return fmt.Errorf("Referrer-Policy is %q", policy)
	}
	return nil
}

func has(headers openapi3.Headers, name string) bool {
	for described := range headers {
		if strings.EqualFold(described, name) {
			return true
		}
	}
	return false
}

// usual reports whether a header belongs to HTTP itself, or to every answer, as
// the description says in words.
func usual(name string) bool {
	switch name {
	case "Date", "Content-Length", "Content-Type", "Connection", "Transfer-Encoding",
		"Cache-Control", "Referrer-Policy", "X-Content-Type-Options":
		return true
	}
	return false
}

// hasCredentials is satisfied where a call carries what a scheme names. Whether
// it is the right one the service has told.
func hasCredentials(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	header := input.RequestValidationInput.Request.Header
	switch scheme := input.SecurityScheme; {
	case scheme.Type == "apiKey" && scheme.In == "header" && header.Get(scheme.Name) != "":
		return nil
	case scheme.Type == "http" && scheme.Scheme == "bearer" && len(header.Get("Authorization")) > len("Bearer ") &&
		strings.EqualFold(header.Get("Authorization")[:len("Bearer ")], "Bearer "):
		return nil
	}
	return fmt.Errorf("the call has no credentials of %s", input.SecuritySchemeName)
}

// withBody gives a copy of a request with its body. The service reads JSON
// whatever the Content-Type says.
func withBody(request *http.Request, body []byte) *http.Request {
	again := request.Clone(request.Context())
	again.Body, again.ContentLength = http.NoBody, 0
	if len(body) > 0 {
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		again.Header.Set("Content-Type", "application/json")
	}
	return again
}
