package ingress

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (i *Ingress) admin(t *testing.T, path string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	i.Admin().ServeHTTP(recorder, request("GET", path, "", nil))
	return recorder.Code, recorder.Body.String()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *Config) { c.DrainDelay = 5 * time.Second }, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		if code, body := i.admin(t, "/readyz"); code != 200 {
			t.Fatalf("not ready: %s", body)
		}
		l, over := i.listen(t.Context(), s.Ticket, "")
		poll := make(chan answer, 1)
		go func() { poll <- i.call(t, "GET", "/queue/"+s.Ticket+"?wait=30s", "", nil) }()
		w.holdAcks = true
		slow := make(chan answer, 1)
		go func() { slow <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("bob")) }()
		synctest.Wait()

		started := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- i.Drain(context.Background()) }()
		synctest.Wait()
		// Unready first; nobody is sent away yet.
		if code, _ := i.admin(t, "/readyz"); code != 503 {
			t.Error("still ready")
		}
		if code, _ := i.admin(t, "/livez"); code != 200 {
			t.Error("not alive")
		}
		pass(time.Second)
		if isClosed(over) {
			t.Error("the stream ended before the delay")
		}
		w.acknowledge()
		(<-slow).status(202)

		<-over
		if all, _ := l.events(t); len(all) != 1 {
			t.Errorf("%d events", len(all))
		}
		(<-poll).status(200)
		if took := time.Since(started); took != 5*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		for _, c := range []struct{ method, path string }{
			{"POST", "/v1/products/shirt/buy"}, {"GET", "/queue/" + s.Ticket + "/events"}, {"GET", "/queue/" + s.Ticket + "/ws"},
			{"DELETE", "/queue/" + s.Ticket}, {"POST", "/v1/sales"}, {"POST", "/v1/holds/0-1/confirm"},
		} {
			a := i.call(t, c.method, c.path, "", as("cy"))
			a.refused(503, "unavailable")
			if a.header.Get("Connection") != "close" {
				t.Error("the connection is kept")
			}
		}
		// A poll is answered, on its last connection.
		a := i.call(t, "GET", "/queue/"+s.Ticket, "", nil)
		if a.status(200); a.header.Get("Connection") != "close" {
			t.Error("the connection is kept")
		}
		if err := i.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNoStreamSlipsPastADrain(t *testing.T) {
	t.Parallel()
	s := streams{most: 1}
	over := make(chan struct{})
	s.refuse(over)
	s.refuse(over)
	if err := s.enter(longPoll); err == nil {
		t.Error("it was let in")
	}
	<-s.gone()
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		if err := i.streams.enter(webSocket); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := i.Drain(ctx); err == nil || !strings.Contains(err.Error(), "1 streams") {
			t.Errorf("error %v", err)
		}
	})
}

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		i.call(t, "POST", "/v1/products/unsold/buy", "", as("ada")).is(404)
		code, text := i.admin(t, "/metrics")
		if code != 200 {
			t.Fatalf("%d", code)
		}
		for _, line := range []string{
			`anteroom_buys_total{code="accepted",product="shirt"} 1`,
			`anteroom_buys_total{code="unknown_product",product=""} 1`,
			`anteroom_streams{transport="websocket"} 0`,
			`anteroom_gate_duration_seconds_count 1`,
			`anteroom_produce_duration_seconds_count 1`,
			`anteroom_buy_duration_seconds_count 2`,
		} {
			if !strings.Contains(text, line) {
				t.Errorf("no %s", line)
			}
		}
		for _, secret := range []string{"ada", s.Ticket, "unsold"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is shown", secret)
			}
		}
	})
}
