package rival

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// TestBadInput: what cannot be understood takes no unit.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := made(t, on(devstacktest.Embedded(t), Conditional, 1))
	const path = "/v1/products/" + product + "/buy"
	for name, c := range map[string]struct {
		method, path string
		buyers       []string
		body         string
		want         int
		code         string
	}{
		"no buyer":           {"POST", path, nil, "", 401, "buyer_required"},
		"an empty buyer":     {"POST", path, []string{""}, "", 401, "buyer_required"},
		"two buyers":         {"POST", path, []string{"ann", "bob"}, "", 400, "invalid_request"},
		"a long buyer":       {"POST", path, []string{strings.Repeat("x", 129)}, "", 400, "invalid_request"},
		"a buyer with space": {"POST", path, []string{"ann lee"}, "", 400, "invalid_request"},
		"a foreign buyer":    {"POST", path, []string{"änn"}, "", 400, "invalid_request"},
		"no JSON":            {"POST", path, []string{"ann"}, "one", 400, "invalid_request"},
		"another member":     {"POST", path, []string{"ann"}, `{"count":1}`, 400, "invalid_request"},
		"two units":          {"POST", path, []string{"ann"}, `{"quantity":2}`, 400, "invalid_request"},
		"no unit":            {"POST", path, []string{"ann"}, `{"quantity":0}`, 400, "invalid_request"},
		"half a unit":        {"POST", path, []string{"ann"}, `{"quantity":0.5}`, 400, "invalid_request"},
		"two bodies":         {"POST", path, []string{"ann"}, `{"quantity":1}{}`, 400, "invalid_request"},
		"a long body":        {"POST", path, []string{"ann"}, `{"quantity":1` + strings.Repeat(" ", maxBody) + `}`, 400, "invalid_request"},
		"another product":    {"POST", "/v1/products/other/buy", []string{"ann"}, "", 404, "unknown_product"},
		"another path":       {"POST", "/v1/products/" + product, []string{"ann"}, "", 404, "not_found"},
		"another method":     {"GET", path, []string{"ann"}, "", 405, "method_not_allowed"},
	} {
		request := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		for _, buyer := range c.buyers {
			request.Header.Add("X-Buyer-ID", buyer)
		}
		h := answered(t, r, request)
		if h.code != c.want || h.problem.Status != c.want || h.problem.Code != c.code || h.problem.Title == "" || h.problem.Type == "" {
			t.Errorf("%s: heard %+v, want %d %s", name, h, c.want, c.code)
		}
	}
	wantTally(t, r, Tally{Unsold: 1})
}

// TestAnswer looks at what a buyer is shown, over the network.
func TestAnswer(t *testing.T) {
	t.Parallel()
	r := made(t, on(devstacktest.Embedded(t), ForUpdate, 9))
	for _, body := range []string{"", `{}`, `{"quantity":1}`, strings.Repeat(" ", 100) + `{"quantity":1}`} {
		request := httptest.NewRequest(http.MethodPost, "/v1/products/"+product+"/buy", strings.NewReader(body))
		request.Header.Set("X-Buyer-ID", strings.Repeat("~", 128-len(body)))
		before := time.Now().Add(-time.Second)
		h := answered(t, r, request)
		if h.code != http.StatusAccepted || h.status.ID == "" || h.status.Product != product || h.status.Quantity != 1 || h.status.State != "held" {
			t.Errorf("body %q: heard %+v", body, h)
		}
		requested, expires, now := moment(t, h.status.RequestedAt), moment(t, h.status.ExpiresAt), moment(t, h.status.ServerTime)
		if requested.Before(before) || requested.After(now.Add(time.Second)) || expires.Sub(requested) != 480*time.Second {
			t.Errorf("body %q: times that cannot be: %+v", body, h.status)
		}
	}
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !strings.HasSuffix(text, "Z") {
		t.Fatalf("time %q: %v", text, err)
	}
	return at
}
