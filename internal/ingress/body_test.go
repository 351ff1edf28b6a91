package ingress

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// watched is an answer whose limits for reading are watched.
type watched struct {
	*httptest.ResponseRecorder
	until time.Time
	set   int
}

func (w *watched) SetReadDeadline(until time.Time) error {
	w.until = until
	w.set++
	return nil
}

// TestABodyHasALimit: from the beginning of a call until its body is read, and
// on, where it is not: net/http then waits for the rest before it answers.
func TestABodyHasALimit(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, bodiesAreLimited)
}

func bodiesAreLimited(t *testing.T, _ *world, i *Ingress) {
	broken := io.MultiReader(strings.NewReader(`{"q`), failing{})
	for name, c := range map[string]struct {
		method, path string
		body         io.Reader
		limited      bool
	}{
		"read":             {http.MethodPost, "/v1/products/shirt/buy", strings.NewReader(`{"quantity":1}`), false},
		"empty":            {http.MethodPost, "/v1/products/shirt/buy", io.MultiReader(), false},
		"not JSON":         {http.MethodPost, "/v1/products/shirt/buy", strings.NewReader(`{`), false},
		"broken off":       {http.MethodPost, "/v1/products/shirt/buy", broken, true},
		"too long":         {http.MethodPost, "/v1/products/shirt/buy", strings.NewReader(strings.Repeat(" ", maxBody+1)), true},
		"of nobody's":      {http.MethodPost, "/nowhere", strings.NewReader("{}"), true},
		"that none awaits": {http.MethodGet, "/queue/nothing", strings.NewReader("{}"), true},
	} {
		r := request(c.method, c.path, "-", as("ann"))
		r.Body, r.ContentLength = io.NopCloser(c.body), -1
		answer := &watched{ResponseRecorder: httptest.NewRecorder()}
		i.Handler().ServeHTTP(answer, r)
		until := time.Now().Add(BodyTimeout)
		if limited := answer.until.Equal(until); answer.set == 0 || limited != c.limited || !limited && !answer.until.IsZero() {
			t.Errorf("a body that is %s: limited to %v after %d times, want a limit %t", name, answer.until, answer.set, c.limited)
		}
	}
	answer := &watched{ResponseRecorder: httptest.NewRecorder()}
	r := request(http.MethodGet, "/queue/nothing", "", nil)
	r.ContentLength = 0
	if i.Handler().ServeHTTP(answer, r); answer.set > 0 {
		t.Error("a call without a body is limited")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken off") }
