package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answers serves them in turn, and the last one for ever; it notes the requests.
func answers(t *testing.T, answers ...string) (*Client, *[]string) {
	t.Helper()
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body)))
		answer := answers[min(len(seen), len(answers))-1]
		code, text, _ := strings.Cut(answer, " ")
		w.WriteHeader(map[string]int{"200": 200, "201": 201, "202": 202, "404": 404, "409": 409, "502": 502}[code])
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL, OperatorToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c, &seen
}

func TestCreateSale(t *testing.T) {
	t.Parallel()
	c, seen := answers(t, `201 {"sale":"0-1","product":"console","state":"open","quantity":2}`)
	created, err := c.CreateSale(t.Context(), NewSale{Product: "console", Quantity: 2})
	if err != nil || created.Sale != "0-1" || created.State != "open" {
		t.Errorf("created %+v, %v", created, err)
	}
	if want := `POST /v1/sales Bearer secret {"product":"console","quantity":2}`; (*seen)[0] != want {
		t.Errorf("it asked %q, want %q", (*seen)[0], want)
	}
}

// TestCreateSaleDecidedLate: 202 says that the sale is not open yet.
func TestCreateSaleDecidedLate(t *testing.T) {
	t.Parallel()
	c, seen := answers(t,
		`202 {"sale":"0-7","product":"console","state":"undecided"}`,
		`404 {"code":"unknown_product"}`,
		`200 {"sale":"0-2","product":"console","state":"closed"}`,
		`200 {"sale":"0-7","product":"console","state":"open"}`)
	created, err := c.CreateSale(t.Context(), NewSale{Product: "console", Quantity: 2})
	if err != nil || created.Sale != "0-7" || created.State != "open" || len(*seen) != 4 {
		t.Errorf("created %+v, %v, after %q", created, err, *seen)
	}

	c, _ = answers(t, `202 {"sale":"0-7"}`, `404 {"code":"unknown_product"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.CreateSale(ctx, NewSale{Product: "console", Quantity: 2}); err == nil {
		t.Error("a sale that is never decided was created")
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`409 {"status":409,"code":"already_open","title":"The product has an open sale","detail":"sale 0-1"}`: "sale 0-1 (409 already_open)",
		`404 {"code":"unknown_product","title":"There is no such product"}`:                                   "There is no such product (404 unknown_product)",
		`502 <html>`: "the service answered 502 Bad Gateway",
	} {
		c, _ := answers(t, answer)
		_, err := c.Sale(t.Context(), "console")
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
	c, _ := answers(t, `409 {"code":"already_open"}`)
	if _, err := c.Sale(t.Context(), "console"); !HasCode(err, "already_open") || HasCode(err, "other") {
		t.Errorf("the code is not found in %v", err)
	}
	if _, err := New(Config{URL: "127.0.0.1:8080"}); err == nil {
		t.Error("an address without a scheme was taken")
	}
}
