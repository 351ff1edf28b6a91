package load

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// shop is a service that tells buyers what a test wants them to hear.
type shop struct {
	address string
	// script gives what a buyer hears, one status after the other, the first
	// of them at the click. The last one is repeated.
	script func(number int) []heard
	// refuse gives the answer to a buyer's nth click, from 1, or 0.
	refuse func(number, nth int) int
	// confirmedAs is what a confirmation brings, if not that.
	confirmedAs sale.State

	mu     sync.Mutex
	clicks map[string]int
	left   map[string][]heard
	calls  map[string]int // by kind
}

// heard is one status, as this shop says it.
type heard struct {
	State    sale.State
	Position int // below 0: none
}

const cutOff = -1 // instead of an HTTP status

func queued(position int) heard { return heard{sale.Queued, position} }

func is(state sale.State) heard { return heard{state, -1} }

func open(t *testing.T, s *shop) *shop {
	t.Helper()
	s.clicks, s.left, s.calls = map[string]int{}, map[string][]heard{}, map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/products/{product}/buy", s.buy)
	mux.HandleFunc("GET /queue/{ticket}", s.ask)
	mux.HandleFunc("GET /queue/{ticket}/ws", s.stream)
	mux.HandleFunc("DELETE /queue/{ticket}", s.become(sale.Released))
	mux.HandleFunc("POST /v1/holds/{ticket}/confirm", s.become(sale.Confirmed))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

func (s *shop) count(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[kind]++
}

func (s *shop) counted(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[kind]
}

// buyers says how often each has clicked.
func (s *shop) buyers() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]int, len(s.clicks))
	for buyer, n := range s.clicks {
		all[buyer] = n
	}
	return all
}

func numberOf(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		panic(err)
	}
	return n
}

func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	buyer := r.Header.Get("X-Buyer-ID")
	s.mu.Lock()
	s.clicks[buyer]++
	s.calls["buy "+r.PathValue("product")]++
	nth := s.clicks[buyer]
	s.mu.Unlock()
	if s.refuse != nil {
		if code := s.refuse(numberOf(buyer), nth); code != 0 {
			refuseWith(w, code)
			return
		}
	}
	ticket := "ticket-" + buyer
	s.mu.Lock()
	if s.left[ticket] == nil {
		s.left[ticket] = s.script(numberOf(buyer))
	}
	s.mu.Unlock()
	s.tell(w, http.StatusAccepted, ticket)
}

func refuseWith(w http.ResponseWriter, code int) {
	switch code {
	case cutOff:
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n{\"ticket\":")
		_ = connection.Close()
	case http.StatusInternalServerError:
		http.Error(w, "something else", code)
	case http.StatusNoContent:
		w.WriteHeader(code)
	case http.StatusServiceUnavailable: // which says when to come again
		w.Header().Set("Retry-After", "1")
		fallthrough
	default:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(code)
		problem := map[int]string{http.StatusGone: "sold_out", http.StatusServiceUnavailable: "unavailable", http.StatusTooManyRequests: "rate_limited"}
		_, _ = fmt.Fprintf(w, `{"type":"about:blank","status":%d,"code":%q}`, code, problem[code])
	}
}

// next gives what a ticket's buyer hears now, whether it is not the last, and
// how many are left.
func (s *shop) next(ticket string) (now heard, more bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.left[ticket]
	if len(all) > 1 {
		s.left[ticket] = all[1:]
		return all[0], true, len(all)
	}
	return all[0], false, 1
}

func body(ticket string, now heard, left int) map[string]any {
	status := map[string]any{
		"ticket": ticket, "product": `state":"`, "state": now.State, "quantity": 1, "poll_after_ms": 2, "after": "seen-" + strconv.Itoa(left),
	}
	if now.Position >= 0 {
		status["position"] = now.Position
	}
	return status
}

func (s *shop) tell(w http.ResponseWriter, code int, ticket string) {
	now, _, left := s.next(ticket)
	w.Header().Set("ETag", fmt.Sprintf(`W/"seen-%d"`, left))
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body(ticket, now, left)) // the buyer may have left
}

func (s *shop) ask(w http.ResponseWriter, r *http.Request) {
	ticket, seen := r.PathValue("ticket"), r.Header.Get("If-None-Match")
	kind := "poll"
	if r.FormValue("wait") != "" {
		kind = "long_poll"
	}
	s.count(kind)
	s.mu.Lock()
	same := len(s.left[ticket]) == 1 && seen == `W/"seen-1"`
	s.mu.Unlock()
	if same {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.tell(w, http.StatusOK, ticket)
}

// stream sends what is left, and waits for the buyer to leave, or ends after a
// final state.
func (s *shop) stream(w http.ResponseWriter, r *http.Request) {
	s.count("stream after " + r.FormValue("after"))
	connection, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer connection.CloseNow()
	ctx := connection.CloseRead(r.Context())
	for more := true; more; {
		var now heard
		var left int
		now, more, left = s.next(r.PathValue("ticket"))
		if wsjson.Write(ctx, connection, body(r.PathValue("ticket"), now, left)) != nil {
			return
		}
		if now.State.Final() {
			_ = connection.Close(websocket.StatusNormalClosure, "") // the buyer may have left
			return
		}
	}
	pinging, end := time.Now(), 10*time.Second
	for time.Since(pinging) < end && connection.Ping(ctx) == nil {
		s.count("pong")
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func (s *shop) become(state sale.State) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ticket := r.PathValue("ticket")
		s.mu.Lock()
		s.left[ticket] = []heard{is(state)}
		if state == sale.Confirmed && s.confirmedAs != "" {
			s.left[ticket] = []heard{is(s.confirmedAs)}
		}
		s.calls[string(state)]++
		if token := r.Header.Get("Authorization"); token != "" {
			s.calls[token]++
		}
		s.mu.Unlock()
		s.tell(w, http.StatusOK, ticket)
	}
}

// always gives everybody the same script.
func always(script ...heard) func(int) []heard {
	return func(int) []heard { return script }
}

// crowd is a phase of clicks at this shop.
func (s *shop) crowd(buyers int) Phase {
	return Phase{
		Do: Click, Addresses: []string{s.address}, Connections: 4, Product: "console", Crowd: "c", Buyers: buyers,
	}
}
