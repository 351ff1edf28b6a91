package ingress

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// answer is what came back from a call.
type answer struct {
	t      testing.TB
	code   int
	header http.Header
	body   []byte
}

type header map[string]string

var (
	merchantHeader = header{"Authorization": "Bearer " + merchantToken}
	operatorHeader = header{"Authorization": "Bearer " + operatorToken}
)

func as(buyer string) header { return header{"X-Buyer-ID": buyer} }

func request(method, path, body string, headers header) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000" // a gateway on this machine
	if body == "" {
		r.Body = http.NoBody
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r
}

func (i *Ingress) call(t testing.TB, method, path, body string, headers header) answer {
	t.Helper()
	return i.serve(t, request(method, path, body, headers))
}

func (i *Ingress) serve(t testing.TB, r *http.Request) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	defer asDescribed(t, r, recorder)()
	i.Handler().ServeHTTP(recorder, r)
	return answer{t, recorder.Code, recorder.Header(), recorder.Body.Bytes()}
}

// status reads the answer as a status, and fails on a member that no status has.
func (a answer) status(code int) status {
	a.t.Helper()
	a.is(code)
	var s status
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		a.t.Fatalf("%s: %v", a.body, err)
	}
	return s
}

func (a answer) is(code int) {
	a.t.Helper()
	if a.code != code {
		a.t.Fatalf("answered %d %s, expected %d", a.code, a.body, code)
	}
}

// document is a problem as RFC 9457 writes it.
type document struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	OpensAt  string `json:"opens_at"`
	Code     string `json:"code"`
}

// waits are the problems for which waiting helps, at the door.
var waits = []string{"rate_limited", "unavailable", "not_open", "paused", "sold_out"}

// refused checks that the answer is a whole problem.
func (a answer) refused(status int, code string) {
	a.t.Helper()
	a.is(status)
	var d document
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		a.t.Fatalf("%s: %v", a.body, err)
	}
	if d.Code != code || d.Status != status || d.Title == "" || d.Type == "" {
		a.t.Errorf("problem %s, expected code %q", a.body, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("Content-Type %q", got)
	}
	commanded := d.Code == "not_open" && !strings.HasSuffix(d.Instance, "/buy")
	if waits := slices.Contains(waits, code) && status != http.StatusGone && !commanded; waits != (a.header.Get("Retry-After") != "") {
		a.t.Errorf("Retry-After %q with %d", a.header.Get("Retry-After"), status)
	}
}

// buys clicks and gives the accepted request.
func (i *Ingress) buys(t testing.TB, buyer string) status {
	t.Helper()
	return i.call(t, "POST", "/v1/products/shirt/buy", "", as(buyer)).status(http.StatusAccepted)
}

func (i *Ingress) polls(t *testing.T, s status) status {
	t.Helper()
	return i.call(t, "GET", "/queue/"+s.Ticket, "", nil).status(http.StatusOK)
}

// logTo gives a logger whose output can be searched.
func logTo(buffer *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func counterOf(t *testing.T, registry *prometheus.Registry, product, code string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "anteroom_buys_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["product"] == product && labels["code"] == code {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
