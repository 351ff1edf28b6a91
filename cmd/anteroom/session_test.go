package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/lab"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestSession goes from a sale to its last unit, as shop and shoppers see it.
func TestSession(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 2)
		s := w.serveHere(t)
		address := s.public.Addr().String()
		base := "http://" + address
		operator := []string{"Authorization", "Bearer " + w.secrets.OperatorToken}
		merchant := []string{"Authorization", "Bearer " + w.secrets.MerchantToken}

		created := w.openSale(t, address, client.NewSale{Product: "console", Quantity: 2, HoldSeconds: 3})
		if created.State != "open" || created.Available != 2 || created.Quantity != 2 {
			t.Fatalf("created %+v", created)
		}
		if a := call(t, "POST", base+"/v1/sales", `{"product":"console","quantity":5}`, operator...); a.code != 409 || a.body["code"] != "already_open" {
			t.Errorf("a second sale: %s, want 409 already_open", a)
		}

		first := buy(t, address, "console", "ada")
		await(t, "ada's hold", func() bool { return state(t, address, first) == "held" })
		a := call(t, "POST", base+"/v1/products/console/buy", "", "X-Buyer-ID", "ada")
		if a.code != http.StatusOK || a.body["ticket"] != first {
			t.Errorf("ada clicks again: %s, want 200 with the ticket that she has", a)
		}
		second := buy(t, address, "console", "bob")
		third := buy(t, address, "console", "cleo")
		await(t, "bob's hold", func() bool { return state(t, address, second) == "held" })
		await(t, "cleo's place in the waitlist", func() bool { return state(t, address, third) == "waitlisted" })
		if a := call(t, "GET", base+"/queue/"+third, ""); a.body["position"] != 0.0 {
			t.Errorf("cleo is next: %s, want position 0", a)
		}

		hold := base + "/v1/holds/" + first
		if a := call(t, "POST", hold+"/confirm", `{"payment_reference":"p1"}`); a.code != http.StatusUnauthorized {
			t.Errorf("confirmation without a token: %s, want 401", a)
		}
		for range 2 { // the same again is the same
			if a := call(t, "POST", hold+"/confirm", `{"payment_reference":"p1"}`, merchant...); a.code != http.StatusOK || a.body["state"] != "confirmed" {
				t.Fatalf("confirmation: %s, want 200 confirmed", a)
			}
		}
		if a := call(t, "POST", hold+"/confirm", `{"payment_reference":"p2"}`, merchant...); a.code != 409 || a.body["code"] != "other_payment" {
			t.Errorf("another payment: %s, want 409 other_payment", a)
		}

		// Bob lets his hold pass; the unit goes to cleo, who waits for it.
		await(t, "bob's hold to end", func() bool { return state(t, address, second) == "expired" })
		if a := call(t, "POST", base+"/v1/holds/"+second+"/confirm", `{"payment_reference":"p3"}`, merchant...); a.code != 409 || a.body["code"] != "hold_expired" {
			t.Errorf("confirmation of a hold that ended: %s, want 409 hold_expired", a)
		}
		await(t, "cleo's hold", func() bool { return state(t, address, third) == "held" })
		if a := call(t, "DELETE", base+"/queue/"+third, ""); a.code != http.StatusOK || a.body["state"] != "released" {
			t.Errorf("cleo gives it back: %s, want 200 released", a)
		}
		public := call(t, "GET", base+"/v1/holds/"+w.parse(t, first).PublicID(), "", merchant...)
		if public.code != http.StatusOK || public.body["state"] != "confirmed" {
			t.Errorf("the hold by its public id: %s, want 200 confirmed", public)
		}

		fourth := buy(t, address, "console", "eve")
		await(t, "eve's hold", func() bool { return state(t, address, fourth) == "held" })
		if a := call(t, "POST", base+"/v1/holds/"+fourth+"/confirm", `{"payment_reference":"p5"}`, merchant...); a.code != http.StatusOK {
			t.Fatalf("confirmation: %s, want 200", a)
		}
		await(t, "the door saying that it is over", func() bool {
			a := call(t, "POST", base+"/v1/products/console/buy", "", "X-Buyer-ID", "fay")
			return a.code == http.StatusGone && a.body["code"] == "sold_out"
		})
		shown := call(t, "GET", base+"/v1/sales/console", "", operator...)
		if shown.code != http.StatusOK || shown.body["confirmed"] != 2.0 || shown.body["available"] != 0.0 {
			t.Errorf("the sale in the end: %s", shown)
		}
		w.proveLedger(t, 2)
	})
}

// TestNothingBadReachesTheLog sends every kind of bad input and holds the log's
// end against what it was.
func TestNothingBadReachesTheLog(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		s := w.serveHere(t)
		base := "http://" + s.public.Addr().String()
		w.openSale(t, s.public.Addr().String(), client.NewSale{Product: "console", Quantity: 1})
		good := buy(t, s.public.Addr().String(), "console", "ada")
		await(t, "ada's hold", func() bool { return state(t, s.public.Addr().String(), good) == "held" })
		await(t, "the hold's start", func() bool {
			return call(t, "GET", base+"/queue/"+good, "").body["expires_at"] != nil
		})
		_, before, err := s.log.Bounds(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		forged := good[:len(good)-1] + map[bool]string{true: "B", false: "A"}[good[len(good)-1] == 'A']
		merchant := "Bearer " + w.secrets.MerchantToken
		for _, bad := range []struct {
			method, path, body, buyer string
			code                      int
			problem                   string
		}{
			{"POST", "/v1/products/nothing/buy", "", "bob", 404, "unknown_product"},
			{"POST", "/v1/products/NOT%20A%20PRODUCT/buy", "", "bob", 404, "unknown_product"},
			{"POST", "/v1/products/console/buy", "", "", 401, "buyer_required"},
			{"POST", "/v1/products/console/buy", "", strings.Repeat("b", 129), 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", "", "b\tb", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":0}`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":-1}`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":1.5}`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":1000000000}`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":1,"colour":"red"}`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":1`, "bob", 400, "invalid_request"},
			{"POST", "/v1/products/console/buy", `{"quantity":1}` + strings.Repeat(" ", 1<<20), "bob", 400, "invalid_request"},
			{"PUT", "/v1/products/console/buy", "", "bob", 405, "method_not_allowed"},
			{"GET", "/queue/" + forged, "", "", 404, "unknown_ticket"},
			{"GET", "/queue/" + good[:len(good)/2], "", "", 404, "unknown_ticket"},
			{"DELETE", "/queue/" + forged, "", "", 404, "unknown_ticket"},
			{"POST", "/v1/holds/" + forged + "/confirm", `{"payment_reference":"p"}`, "", 404, "unknown_request"},
			{"POST", "/v1/holds/" + good + "/confirm", `{}`, "", 400, "invalid_request"},
			{"POST", "/v1/holds/" + good + "/confirm", `{"payment_reference":"a b"}`, "", 400, "invalid_request"},
			{"GET", "/nowhere", "", "", 404, "not_found"},
		} {
			headers := []string{"Authorization", merchant}
			if bad.buyer != "" {
				headers = append(headers, "X-Buyer-ID", bad.buyer)
			}
			a := call(t, bad.method, base+bad.path, bad.body, headers...)
			if a.code != bad.code || a.body["code"] != bad.problem {
				t.Errorf("%s %.60s %.40s as %.20q: %s, want %d %s", bad.method, bad.path, bad.body, bad.buyer, a, bad.code, bad.problem)
			}
			if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("%s %.60s: content type %q", bad.method, bad.path, kind)
			}
		}
		if _, after, err := s.log.Bounds(t.Context(), 0); err != nil || after != before {
			t.Errorf("the log went from %d to %d (%v)", before, after, err)
		}
	})
}

// TestCrowd sends a crowd and believes nobody but the shoppers and the log.
func TestCrowd(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 3)
		s := w.serveHere(t)
		address := s.public.Addr().String()
		w.openSale(t, address, client.NewSale{Product: "console", Quantity: 7})
		result, err := lab.Run(t.Context(), lab.Config{
			Addresses: []string{address}, Product: "console", Buyers: 3000, Connections: 64, MaxWaiting: 3000,
			Follow: 50, MaxStreams: 100, Crowd: "c", MerchantToken: w.secrets.MerchantToken, Patience: time.Minute,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", result)
		if result.Accepted+result.Refused["sold_out"] != 3000 || result.Sold != 7 || result.Undecided+result.MultipleOutcomes+result.PositionRises != 0 {
			t.Errorf("shoppers were told wrong: %+v", result)
		}
		if result.Outcomes[sale.Confirmed] != 7 || result.Outcomes[sale.Waitlisted] != 10 {
			t.Errorf("outcomes %v, want 7 confirmed, 10 waitlisted and the rest sold_out", result.Outcomes)
		}
		w.proveLedger(t, 3)
	})
}

// TestStreams follows a request by WebSocket, by events and by long poll, to
// the same end, and sees a draining ingress send its clients away.
func TestStreams(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := newWorld(t, b, 1)
		s, err := newService(t.Context(), w.config(t, roles{ingress: true, allocator: true}))
		if err != nil {
			t.Fatal(err)
		}
		stop := w.runHere(t, s)
		address := s.public.Addr().String()
		w.openSale(t, address, client.NewSale{Product: "console", Quantity: 1, HoldSeconds: 600})
		ticket := buy(t, address, "console", "ada")
		await(t, "the hold's start", func() bool {
			return call(t, "GET", "http://"+address+"/queue/"+ticket, "").body["expires_at"] != nil
		})

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		socket, _, err := websocket.Dial(ctx, "ws://"+address+"/queue/"+ticket+"/ws", nil) //nolint:bodyclose // Dial says that it is not to be closed
		if err != nil {
			t.Fatal(err)
		}
		defer socket.CloseNow()
		var told map[string]any
		if err := wsjson.Read(ctx, socket, &told); err != nil || told["state"] != "held" {
			t.Fatalf("the socket's first word: %v, %v, want held", told, err)
		}
		var polled answer
		var waiting sync.WaitGroup
		seen := call(t, "GET", "http://"+address+"/queue/"+ticket, "").header.Get("ETag")
		waiting.Go(func() {
			polled, err = tryCall(ctx, "GET", "http://"+address+"/queue/"+ticket+"?wait=20s", "", "If-None-Match", seen)
		})
		var events []string
		waiting.Go(func() { events = readEvents(ctx, address, ticket) })

		await(t, "both followers", func() bool { return streamsOpen(t, s) >= 2 })
		a := call(t, "POST", "http://"+address+"/v1/holds/"+ticket+"/confirm", `{"payment_reference":"p"}`, "Authorization", "Bearer "+w.secrets.MerchantToken)
		if a.code != http.StatusOK {
			t.Fatalf("confirmation: %s", a)
		}
		if err := wsjson.Read(ctx, socket, &told); err != nil || told["state"] != "confirmed" {
			t.Errorf("the socket's next word: %v, %v, want confirmed", told, err)
		}
		waiting.Wait()
		if err != nil || polled.body["state"] != "confirmed" {
			t.Errorf("the long poll: %s, %v, want confirmed", polled, err)
		}
		if len(events) == 0 || !strings.Contains(events[len(events)-1], `"confirmed"`) {
			t.Errorf("events %q, want the last to say confirmed", events)
		}

		// One that is waiting when the ingress stops is sent elsewhere.
		w2 := buyWaiting(t, w, address)
		waiter, _, err := websocket.Dial(ctx, "ws://"+address+"/queue/"+w2+"/ws", nil) //nolint:bodyclose // Dial says that it is not to be closed
		if err != nil {
			t.Fatal(err)
		}
		defer waiter.CloseNow()
		if err := wsjson.Read(ctx, waiter, &told); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		for err = nil; err == nil; { // the hold's start may still be told
			err = wsjson.Read(ctx, waiter, &told)
		}
		if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("the socket of a draining ingress ended with %v, want 1012", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
}

// buyWaiting gives a ticket whose request is held, in a sale of its own.
func buyWaiting(t *testing.T, w *world, address string) string {
	t.Helper()
	w.openSale(t, address, client.NewSale{Product: "other", Quantity: 1, HoldSeconds: 600})
	ticket := buy(t, address, "other", "bob")
	await(t, "bob's hold", func() bool { return state(t, address, ticket) == "held" })
	return ticket
}

func streamsOpen(t *testing.T, s *service) int {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	open := 0.0
	for _, family := range families {
		if family.GetName() == "anteroom_streams" {
			for _, metric := range family.GetMetric() {
				open += metric.GetGauge().GetValue()
			}
		}
	}
	return int(open)
}

// readEvents reads a ticket's event stream until it says confirmed, which is
// not its end: a confirmed request can be returned.
func readEvents(ctx context.Context, address, ticket string) []string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/queue/"+ticket+"/events", nil)
	if err != nil {
		return []string{err.Error()}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return []string{err.Error()}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return []string{fmt.Sprint(response.Status)}
	}
	var events []string
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			events = append(events, data)
			if strings.Contains(data, `"confirmed"`) {
				break
			}
		}
	}
	return events
}

// TestMigrateTwice shows that migrating again, also by several at once, changes
// nothing, and that a role refuses a topic or a database that is not there.
func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		w := &world{kafka: strings.Join(b.KafkaBrokers, ","), redis: b.RedisURL, postgres: b.PostgresURL, topic: b.Topic}
		var err error
		if w.secrets, err = devSecrets(""); err != nil {
			t.Fatal(err)
		}
		if _, err := newService(t.Context(), w.config(t, roles{allocator: true})); err == nil || !strings.Contains(err.Error(), "anteroom migrate") {
			t.Errorf("starting before migrating: %v, want an error that names anteroom migrate", err)
		}
		var all sync.WaitGroup
		errs := make(chan error, 3)
		for range 3 {
			all.Go(func() {
				errs <- migrate(t.Context(), migration{kafka: w.kafkaConfig(2), postgresURL: w.postgres, report: func(string) {}})
			})
		}
		all.Wait()
		for range 3 {
			if err := <-errs; err != nil {
				t.Errorf("migrating at the same time: %v", err)
			}
		}
		s := newWorld(t, b, 2).serveHere(t)
		await(t, "the partitions being raised once and for all", func() bool { return s.board.Watermark(0) >= 1 && s.board.Watermark(1) >= 1 })
	})
}
