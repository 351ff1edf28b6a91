package ingresstest

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// described reads the description of the ingress.
func described(t testing.TB, alter ...string) *Contract {
	t.Helper()
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New([]byte(strings.NewReplacer(alter...).Replace(string(text))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	aTicket  = "AQEAAAAAAAAAAQABAA8BBXNob2VzAWQxMjM0NTY3ODkwYWJjZGVm"
	aStatus  = `{"ticket":"` + aTicket + `","id":"3-48213","product":"shoes","quantity":1,"state":"queued","position":1812,"requested_at":"2026-05-01T10:00:00.117Z","server_time":"2026-05-01T10:00:00.131Z","poll_after_ms":512}`
	aProblem = `{"type":"urn:anteroom:problem:not_open","title":"The sale has not opened yet","status":409,"instance":"/v1/products/shoes/buy","opens_at":"2026-05-01T10:00:00.000Z","code":"not_open"}`
)

// exchange is a call and its answer.
type exchange struct {
	method, path, sent string
	headers            []string // of the request, in pairs
	code               int
	answered           []string // headers of the answer, in pairs
	body               string
}

func (e exchange) check(t testing.TB, c *Contract) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), e.method, "http://127.0.0.1:8080"+e.path, strings.NewReader(e.sent))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(e.headers); i += 2 {
		request.Header.Set(e.headers[i], e.headers[i+1])
	}
	header := http.Header{"Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"}, "X-Content-Type-Options": {"nosniff"}, "Date": {"now"}}
	for i := 0; i < len(e.answered); i += 2 {
		header.Set(e.answered[i], e.answered[i+1])
	}
	return c.Check(request, []byte(e.sent), Answer{Code: e.code, Header: header, Body: []byte(e.body)})
}

func accepted() exchange {
	return exchange{
		method: "POST", path: "/v1/products/shoes/buy", sent: `{"quantity":1}`, headers: []string{"X-Buyer-ID", "ada"},
		code: 202, answered: []string{"Content-Type", "application/json", "ETag", `W/"AQ.1a.1812"`, "Location", "/queue/" + aTicket}, body: aStatus,
	}
}

func refused() exchange {
	return exchange{
		method: "POST", path: "/v1/products/shoes/buy", headers: []string{"X-Buyer-ID", "ada"},
		code: 409, answered: []string{"Content-Type", "application/problem+json", "Retry-After", "3"}, body: aProblem,
	}
}

// TestCheck: each of these is a fault that a service could have.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := described(t)
	for name, good := range map[string]exchange{
		"accepted": accepted(), "refused": refused(),
		"not modified": {method: "GET", path: "/queue/" + aTicket, code: 304, answered: []string{"ETag", `W/"AQ.1a."`}},
		"no path":      {method: "GET", path: "/nowhere", code: 404, answered: []string{"Content-Type", "application/problem+json"}, body: `{"type":"urn:anteroom:problem:not_found","title":"There is no such resource","status":404,"code":"not_found"}`},
		"no method": {method: "PUT", path: "/v1/sales", code: 405, answered: []string{"Content-Type", "application/problem+json", "Allow", "GET"},
			body: `{"type":"urn:anteroom:problem:method_not_allowed","title":"The resource does not have this method","status":405,"code":"method_not_allowed"}`},
		"public, and kept": {method: "GET", path: "/.well-known/jwks.json", code: 200, answered: []string{"Content-Type", "application/jwk-set+json", "Cache-Control", "public, max-age=300"}, body: `{"keys":[]}`},
	} {
		if err := good.check(t, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("mismatches are kept that were none: %v", err)
	}

	body := func(from, to string) func(*exchange) {
		return func(e *exchange) {
			if !strings.Contains(e.body, from) {
				t.Errorf("%s is not in %s", from, e.body)
			}
			e.body = strings.Replace(e.body, from, to, 1)
		}
	}
	header := func(pairs ...string) func(*exchange) {
		return func(e *exchange) { e.answered = append(e.answered[:len(e.answered):len(e.answered)], pairs...) }
	}
	faults := 0
	for name, fault := range map[string]struct {
		of    exchange
		alter func(*exchange)
	}{
		"a status that is not described":  {accepted(), func(e *exchange) { e.code = 203 }},
		"another status than its problem": {refused(), func(e *exchange) { e.code = 410 }},
		"no type":                         {accepted(), header("Content-Type", "")},
		"another type":                    {refused(), header("Content-Type", "application/json")},
		"a member that is not described":  {accepted(), body(`{"ticket"`, `{"colour":"red","ticket"`)},
		"a problem's unknown member":      {refused(), body(`{"type"`, `{"colour":"red","type"`)},
		"a member missing":                {accepted(), body(`"quantity":1,`, ``)},
		"a shopper's status, no ticket":   {accepted(), body(`"ticket":"`+aTicket+`",`, ``)},
		"a state that is none":            {accepted(), body(`"queued"`, `"lost"`)},
		"a place without waiting":         {accepted(), body(`"queued"`, `"held"`)},
		"a refusal without reason":        {accepted(), body(`"state":"queued","position":1812`, `"state":"rejected"`)},
		"more to come of what is final":   {accepted(), body(`"state":"queued","position":1812`, `"state":"expired"`)},
		"nothing to come of what is not":  {accepted(), body(`"poll_after_ms":512`, `"poll_after_ms":0`)},
		"a negative position":             {accepted(), body(`1812`, `-1`)},
		"a time without milliseconds":     {accepted(), body(`00.117Z`, `00Z`)},
		"a time in another zone":          {accepted(), body(`00.117Z`, `00.117+02:00`)},
		"a number as text":                {accepted(), body(`"quantity":1`, `"quantity":"1"`)},
		"a code that is not the call's":   {refused(), body(`not_open","title`, `not_held","title`)},
		"a title of another":              {refused(), body(`has not opened yet`, `is closed`)},
		"a problem of another call":       {refused(), func(e *exchange) { e.path = "/v1/sales"; e.headers = []string{"Authorization", "Bearer t"} }},
		"no ETag":                         {accepted(), header("ETag", "")},
		"a strong ETag":                   {accepted(), header("ETag", `"AQ.1a.1812"`)},
		"no Location":                     {accepted(), header("Location", "")},
		"another Location":                {accepted(), header("Location", "/v1/holds/3-48213")},
		"a Retry-After that is no number": {refused(), header("Retry-After", "soon")},
		"a header that is not described":  {accepted(), header("Set-Cookie", "a=b")},
		"an answer that is kept":          {accepted(), header("Cache-Control", "public")},
		"a ticket that leaks":             {accepted(), header("Referrer-Policy", "")},
		"taken without a buyer":           {accepted(), func(e *exchange) { e.headers = nil }},
		"taken with an unknown member":    {accepted(), func(e *exchange) { e.sent = `{"colour":"red"}` }},
		"taken with a quantity of 0":      {accepted(), func(e *exchange) { e.sent = `{"quantity":0}` }},
		"taken with another path":         {accepted(), func(e *exchange) { e.path = "/v1/products/Shoes/buy" }},
		"a path that is not described":    {accepted(), func(e *exchange) { e.path = "/v2/products/shoes/buy" }},
		"a method that is not described":  {accepted(), func(e *exchange) { e.method = "PUT" }},
		"a body where there should be none": {
			exchange{method: "GET", path: "/queue/" + aTicket, code: 304, answered: []string{"ETag", `W/"AQ.1a."`}}, func(e *exchange) { e.body = "x" },
		},
		"not modified, and no ETag": {exchange{method: "GET", path: "/queue/" + aTicket, code: 304}, func(*exchange) {}},
	} {
		fault.alter(&fault.of)
		faults++
		if fault.of.check(t, c) == nil {
			t.Errorf("%s was not found", name)
		}
	}
	if joined, ok := c.Err().(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != faults {
		t.Errorf("kept %v, want %d mismatches", c.Err(), faults)
	}
}

// TestCheckBody: what streams carry.
func TestCheckBody(t *testing.T) {
	t.Parallel()
	c := described(t)
	message := strings.TrimSuffix(aStatus, "}") + `,"after":"AQ.1a.1812"}`
	if err := c.CheckBody("ShopperStatus", []byte(aStatus)); err != nil {
		t.Error(err)
	}
	if err := c.CheckBody("StatusMessage", []byte(message)); err != nil {
		t.Error(err)
	}
	for schema, value := range map[string]string{"StatusMessage": aStatus, "ShopperStatus": message, "Nothing": `{"a":1}`, "NoSuchThing": "{}"} {
		if c.CheckBody(schema, []byte(value)) == nil {
			t.Errorf("%s was taken for a %s", value, schema)
		}
	}
}

// TestTransport: a mismatch is the call's error, and the body can still be read.
func TestTransport(t *testing.T) {
	t.Parallel()
	c := described(t)
	body := aProblem
	client := http.Client{Transport: c.Transport(answering(func(*http.Request) *http.Response {
		recorder := newAnswer(409, body)
		recorder.Header.Set("Retry-After", "3")
		return recorder
	}))}
	post := func() (*http.Response, error) {
		return client.Post("http://127.0.0.1:1/v1/products/shoes/buy", "application/json", strings.NewReader(`{}`))
	}
	response, err := post()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var read strings.Builder
	if err := response.Write(&read); err != nil || !strings.Contains(read.String(), aProblem) {
		t.Errorf("%v, %s", err, read.String())
	}
	body = strings.Replace(aProblem, "not_open", "mystery", 1)
	if response, err := post(); err == nil {
		response.Body.Close()
		t.Error("a problem that is not described was let pass")
	}
	if c.Err() == nil {
		t.Error("the mismatch was not kept")
	}
	if missed := c.Missed(); len(missed) < 100 {
		t.Errorf("missed %d", len(missed))
	}
}

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// TestInvalidDescription: what is not OpenAPI is refused.
func TestInvalidDescription(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no YAML": "\t", "nothing": "{}", "a reference to nothing": "openapi: 3.1.0\ninfo: {title: a, version: b}\npaths:\n  /a:\n    get:\n      responses: {'200': {$ref: '#/components/responses/B'}}\n",
	} {
		if _, err := New([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c := described(b)
	for b.Loop() {
		if err := accepted().check(b, c); err != nil {
			b.Fatal(err)
		}
	}
}

func newAnswer(code int, body string) *http.Response {
	return &http.Response{
		StatusCode: code, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"}},
	}
}
