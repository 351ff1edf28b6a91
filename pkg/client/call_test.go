package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const buyPath = "POST /v1/products/console/buy"

// TestUnknownOutcomesAreRepeated: a buy goes on until somebody says what became
// of it, no sooner than it is told.
func TestUnknownOutcomesAreRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(buyPath,
			problem(503, "unavailable", "Retry-After", "7"),
			cut(202, `{"ticket":"T"`),
			short(`{"ticket":"T","id":"0-`),
			short(``),
			dropped,
			answering(502, "<html>"),
			problem(429, "rate_limited", "Retry-After", "1"),
			problem(503, "unavailable", "Retry-After", time.Now().Add(40*time.Second).UTC().Format(http.TimeFormat)),
			answering(202, told("queued", "3", "")))
		c := f.client()
		got, err := c.Buy(t.Context(), "console", BuyOptions{Buyer: "ada", Quantity: 2})
		if err != nil || got.Ticket != "T" || got.State != sale.Queued || *got.Position != 3 {
			t.Fatalf("bought %+v, %v", got, err)
		}
		came := f.requests("")
		if len(came) != 9 {
			t.Fatalf("%d requests, want 9: %v", len(came), came)
		}
		for i, r := range came {
			if r.what != buyPath || r.body != `{"quantity":2}` || r.head.Get("X-Buyer-ID") != "ada" ||
				r.head.Get("Authorization") != "" || r.head.Get("User-Agent") != "anteroom-client" {
				t.Errorf("request %d is %+v", i, r)
			}
		}
		if second := came[1].after; second < 7*time.Second || second > 8*time.Second {
			t.Errorf("the second try came after %s", second)
		}
		if pause := came[7].after - came[6].after; pause < time.Second {
			t.Errorf("the pause after 429 was %s", pause)
		}
		if last := came[8].after; last < 40*time.Second || last > 45*time.Second {
			t.Errorf("the last try came after %s", last)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(buyPath, problem(503, "unavailable"))
		c := f.client(func(config *Config) { config.Patience = time.Minute })
		began := time.Now()
		_, err := c.Buy(t.Context(), "console", BuyOptions{Buyer: "ada"})
		took, tries := time.Since(began), len(f.requests(""))
		if !errors.Is(err, ErrUnknown) || !HasCode(err, "unavailable") || took > time.Minute || took < 50*time.Second {
			t.Errorf("it gave up after %s with %v", took, err)
		}
		if tries < 10 || tries > 40 {
			t.Errorf("it tried %d times in a minute", tries)
		}

		// One that is asked to come back later than it may has no reason to stay.
		f.on(buyPath, problem(503, "unavailable", "Retry-After", "3600"))
		began = time.Now()
		if _, err := c.Buy(t.Context(), "console", BuyOptions{Buyer: "ada"}); !HasCode(err, "unavailable") || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}

		impatient := f.client(func(config *Config) { config.Patience = -1 })
		before := len(f.requests(""))
		if _, err := impatient.Buy(t.Context(), "console", BuyOptions{Buyer: "ada"}); !HasCode(err, "unavailable") || len(f.requests("")) != before+1 {
			t.Errorf("a client without patience: %v after %d tries", err, len(f.requests(""))-before)
		}
	})
}

// TestContextEndsACall: while it is asked, and while it pauses.
func TestContextEndsACall(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on("GET /queue/T", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Status(ctx, "T"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}

		f.on("GET /queue/T", problem(503, "unavailable", "Retry-After", "60"))
		ctx, stop := context.WithCancel(t.Context())
		began = time.Now()
		time.AfterFunc(5*time.Second, stop)
		if _, err := c.Status(ctx, "T"); !errors.Is(err, context.Canceled) || time.Since(began) != 5*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestNoTimeForAnotherTry: what is known is said at once.
func TestNoTimeForAnotherTry(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on("GET /queue/T", problem(503, "unavailable", "Retry-After", "60"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := f.client().Status(ctx, "T"); !HasCode(err, "unavailable") || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestSilentService: an answer that does not come is given up, and asked for
// again.
func TestSilentService(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on("GET /queue/T", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, answering(200, told("held", "", "")))
		got, err := f.client().Status(t.Context(), "T")
		if err != nil || got.State != sale.Held {
			t.Fatalf("%+v, %v", got, err)
		}
		if again := f.requests("")[1].after; again < attemptWait || again > attemptWait+time.Second {
			t.Errorf("it asked again after %s", again)
		}
	})
}

// TestRefusalsAreNotRepeated: they are answers.
func TestRefusalsAreNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on(buyPath, answering(409, `{"status":409,"code":"not_open","title":"The sale is not open","opens_at":"2026-12-01T10:00:00Z"}`, "Retry-After", "90"))
		_, err := c.Buy(t.Context(), "console", BuyOptions{Token: "a.b.c"})
		var refused *Problem
		if !errors.As(err, &refused) || refused.Code != "not_open" || refused.Status != 409 || refused.RetryAfter != 90*time.Second ||
			!refused.OpensAt.Equal(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)) || errors.Is(err, ErrUnknown) {
			t.Errorf("refused with %#v", err)
		}
		if r := f.requests("")[0]; r.head.Get("Authorization") != "Bearer a.b.c" || r.head.Get("X-Buyer-ID") != "" || r.body != "" {
			t.Errorf("it asked %+v", r)
		}
		for _, answer := range []http.HandlerFunc{
			problem(410, "sold_out"), problem(409, "sold_out"), problem(401, "buyer_required"), problem(404, "unknown_product"),
			answering(200, `not JSON`), answering(200, `{"ticket":5}`), answering(301, "", "Location", "/elsewhere"),
		} {
			f.on(buyPath, answer)
			before := len(f.requests(""))
			if _, err := c.Buy(t.Context(), "console", BuyOptions{Buyer: "ada"}); err == nil || len(f.requests("")) != before+1 {
				t.Errorf("%v after %d tries", err, len(f.requests(""))-before)
			}
		}
		for _, options := range []BuyOptions{{}, {Buyer: "ada", Token: "a.b.c"}} {
			if _, err := c.Buy(t.Context(), "console", options); err == nil {
				t.Errorf("%+v were taken", options)
			}
		}
	})
}

// TestRedirectsAreNotFollowed, not even by a client that is given and would.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on("GET /v1/holds/0-2", answering(307, "", "Location", "http://elsewhere.test/v1/holds/0-2"))
		_, err := f.client().Hold(t.Context(), "0-2")
		if err == nil || err.Error() != "the service answered 307 Temporary Redirect" || len(f.requests("")) != 1 {
			t.Errorf("%v after %+v", err, f.requests(""))
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		endless := func(status int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				for page := []byte(strings.Repeat(" ", 1<<20)); ; {
					if _, err := w.Write(page); err != nil {
						return
					}
				}
			}
		}
		for _, status := range []int{200, 409} {
			f.on("GET /v1/sales", endless(status))
			if _, err := f.client().Sales(t.Context()); err == nil || errors.Is(err, ErrUnknown) {
				t.Errorf("an endless answer was read, or would be asked for again: %v", err)
			}
		}
	})
}

// TestErrorsKeepTickets to themselves: they are written to logs.
func TestErrorsKeepTickets(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		const ticket = "AQRkZXYxSECRET"
		c := f.client(func(config *Config) { config.Patience = 5 * time.Second })
		f.down.Store(true)
		_, err := c.Status(t.Context(), ticket)
		if !errors.Is(err, ErrUnknown) || !errors.Is(err, errRefused) || strings.Contains(err.Error(), ticket) {
			t.Errorf("unreachable: %v", err)
		}
		for _, err := range c.Follow(t.Context(), ticket) {
			if !errors.Is(err, errRefused) || strings.Contains(err.Error(), ticket) {
				t.Errorf("following: %v", err)
			}
		}
		if _, err := c.Status(t.Context(), ticket+"/../x"); err == nil || strings.Contains(err.Error(), ticket) {
			t.Errorf("malformed: %v", err)
		}
	})
}

// TestPartsOfAPath cannot lead to another call.
func TestPartsOfAPath(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		for _, part := range []string{"", ".", "..", "a/b", "../sales", "%2e%2e", "a?b", "a b", "a\n", "ä", strings.Repeat("a", 2000)} {
			_, buyErr := c.Buy(t.Context(), part, BuyOptions{Buyer: "ada"})
			_, confirmErr := c.Confirm(t.Context(), part, "order-1")
			_, saleErr := c.Sale(t.Context(), part)
			_, waitErr := c.Wait(t.Context(), part)
			if buyErr == nil || confirmErr == nil || saleErr == nil || waitErr == nil {
				t.Errorf("%q was taken", part)
			}
		}
		if came := f.requests(""); len(came) > 0 {
			t.Errorf("it asked %+v", came)
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "127.0.0.1:8080", "ftp://service.test", "http://", "://", "/base",
		"http://user:secret@service.test", "http://service.test?x=1", "http://service.test#x",
	} {
		if _, err := New(Config{URL: address}); err == nil {
			t.Errorf("%q was taken", address)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:8080", "https://service.test/", "https://service.test/base/"} {
		if _, err := New(Config{URL: address}); err != nil {
			t.Error(err)
		}
	}
	given := &http.Client{Timeout: time.Second}
	if _, err := New(Config{URL: "http://service.test", HTTP: given}); err != nil || given.CheckRedirect != nil {
		t.Error("the client that was given has been changed")
	}
}
