package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	socketPath = "GET /queue/T/ws"
	pollPath   = "GET /queue/T"
)

// after gives a message of a stream: a status with its marker.
func after(marker, status string) string {
	return strings.TrimSuffix(status, "}") + `,"after":"` + marker + `"}`
}

// follow gives all that is told, one line for each, until the end.
func follow(ctx context.Context, c *Client) (lines []string, err error) {
	for status, err := range c.Follow(ctx, "T") {
		if err != nil {
			return lines, err
		}
		lines = append(lines, line(status))
	}
	return lines, nil
}

func line(s Status) string {
	if s.Position == nil {
		return string(s.State)
	}
	return fmt.Sprint(s.State, " ", *s.Position)
}

func expectLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was told (-want +got):\n%s", diff)
	}
}

// TestFollowComesBack: a stream that breaks, and one whose server drains, are
// taken up again with what was seen; a server that is behind takes nothing back.
func TestFollowComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath,
			streaming(0, after("m1", told("queued", "9", "")), after("m2", told("queued", "4", ""))),
			streaming(websocket.StatusServiceRestart, after("m3", told("queued", "7", "")), after("m4.x", told("waitlisted", "2", ""))),
			streaming(websocket.StatusNormalClosure,
				after("m5", told("queued", "1", "")), after("m6", told("waitlisted", "3", "")), after("m7", told("waitlisted", "0", "")),
				after("m8", told("held", "", `,"expires_at":"2026-11-22T17:02:53Z"`)), after("m9", told("confirmed", "", "")),
				after("m10", told("returned", "", ""))))
		f.on(pollPath, answering(304, ""))
		began := time.Now()
		lines, err := follow(t.Context(), f.client())
		if err != nil {
			t.Fatal(err)
		}
		expectLines(t, lines, "queued 9", "queued 4", "waitlisted 2", "waitlisted 0", "held", "confirmed", "returned")
		var queries []string
		for _, r := range f.requests(socketPath) {
			queries = append(queries, r.query)
			if r.head.Get("User-Agent") != userAgent || r.head.Get("Authorization") != "" {
				t.Errorf("it asked with %v", r.head)
			}
		}
		expectLines(t, queries, "", "after=m2", "after=m4.x")
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestFollowPolls where no stream is to be had: as often as the service wants
// it to, for what is new only, and where waiting is refused without waiting.
func TestFollowPolls(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath, problem(426, "upgrade_required"))
		f.on(pollPath,
			answering(200, told("queued", "9", ""), "ETag", `W/"m1.a.9"`),
			answering(200, told("queued", "5", ""), "ETag", `W/"m2.a.5"`),
			answering(304, "", "ETag", `W/"m2.a.5"`),
			problem(503, "unavailable", "Retry-After", "2"),
			answering(200, told("queued", "", ""), "ETag", `W/"m2.a."`),
			cut(200, told("held", "", "")),
			answering(200, told("sold_out", "", ""), "ETag", `W/"m3.b."`))
		lines, err := follow(t.Context(), f.client())
		if err != nil {
			t.Fatal(err)
		}
		expectLines(t, lines, "queued 9", "queued 5", "queued", "sold_out")
		var came []string
		polls := f.requests(pollPath)
		for i, r := range polls {
			came = append(came, strings.TrimSpace(r.query+" "+r.head.Get("If-None-Match")))
			if i > 0 && r.after-polls[i-1].after < time.Second {
				t.Errorf("poll %d came %s after the one before", i, r.after-polls[i-1].after)
			}
		}
		expectLines(t, came, "", `wait=5s W/"m1.a.9"`, `wait=5s W/"m2.a.5"`, `wait=5s W/"m2.a.5"`, `W/"m2.a.5"`,
			`wait=20s W/"m2.a."`, `W/"m2.a."`)
	})
}

// TestFollowWithoutStreams looks for one less and less often.
func TestFollowWithoutStreams(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath, problem(503, "unavailable"))
		f.on(pollPath, answering(200, told("held", "", "")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		lines, err := follow(ctx, f.client())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
		expectLines(t, lines, "held")
		if tries := len(f.requests(socketPath)); tries < 20 || tries > 70 {
			t.Errorf("it tried %d streams in an hour", tries)
		}
		if polls := len(f.requests(pollPath)); polls < 3000 || polls > 3601 {
			t.Errorf("it polled %d times in an hour, one a second", polls)
		}
	})
}

// TestFollowOutlastsAnOutage, and gives up one that lasts.
func TestFollowOutlastsAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath,
			streamed(func(ctx context.Context, c *websocket.Conn) {
				_ = c.Write(ctx, websocket.MessageText, []byte(after("m1", told("queued", "9", ""))))
				f.down.Store(true)
			}),
			streaming(websocket.StatusNormalClosure, after("m2", told("sold_out", "", ""))))
		f.on(pollPath, answering(200, told("queued", "8", ""), "ETag", `W/"m1.8"`))
		time.AfterFunc(100*time.Second, func() { f.down.Store(false) })
		lines, err := follow(t.Context(), f.client())
		if err != nil {
			t.Fatal(err)
		}
		if lines[0] != "queued 9" || lines[len(lines)-1] != "sold_out" {
			t.Errorf("it told %v", lines)
		}

		f.down.Store(true)
		began := time.Now()
		if _, err := follow(t.Context(), f.client()); !errors.Is(err, ErrUnknown) || time.Since(began) > defaultPatience || time.Since(began) < defaultPatience/2 {
			t.Errorf("it gave up after %s with %v", time.Since(began), err)
		}
	})
}

// TestSilentStreams are given up; those that only ping are not silent.
func TestSilentStreams(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath,
			streamed(func(ctx context.Context, c *websocket.Conn) {
				ctx = c.CloseRead(ctx)
				_ = c.Write(ctx, websocket.MessageText, []byte(after("m1", told("held", "", ""))))
				for range 8 {
					if wait(ctx, 15*time.Second) != nil || c.Ping(ctx) != nil {
						t.Error("the client has gone")
					}
				}
				<-ctx.Done()
			}),
			streaming(websocket.StatusNormalClosure, after("m2", told("expired", "", ""))))
		f.on(pollPath, answering(304, ""))
		lines, err := follow(t.Context(), f.client())
		if err != nil {
			t.Fatal(err)
		}
		expectLines(t, lines, "held", "expired")
		if again := f.requests(socketPath)[1].after; again < 2*time.Minute+silence || again > 2*time.Minute+silence+comeBack {
			t.Errorf("it came back after %s", again)
		}
	})
}

// TestSlowCallers take the time that they need: it is not the service's.
func TestSlowCallers(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		slowly := func() {
			t.Helper()
			for _, err := range f.client().Follow(t.Context(), "T") {
				if err != nil {
					t.Error(err)
				}
				_ = wait(t.Context(), 10*time.Minute)
			}
		}
		f.on(socketPath, streaming(1000, after("m1", told("queued", "1", "")), after("m2", told("held", "", "")), after("m3", told("expired", "", ""))))
		slowly()
		if came := len(f.requests("")); came != 1 {
			t.Errorf("%d requests for one stream", came)
		}
		f.on(socketPath, problem(426, "upgrade_required"))
		f.on(pollPath, answering(200, told("held", "", "")), problem(503, "unavailable"), answering(200, told("expired", "", "")))
		slowly()
	})
}

// TestFollowEnds: with the caller, and with a ticket that is none.
func TestFollowEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		hangs := streamed(func(ctx context.Context, c *websocket.Conn) {
			ctx = c.CloseRead(ctx)
			_ = c.Write(ctx, websocket.MessageText, []byte(after("m1", told("queued", "1", ""))))
			<-ctx.Done()
		})
		f.on(socketPath, hangs)
		c := f.client()
		for status, err := range c.Follow(t.Context(), "T") {
			if err != nil || line(status) != "queued 1" {
				t.Errorf("it told %+v, %v", status, err)
			}
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		if lines, err := follow(ctx, c); !errors.Is(err, context.Canceled) || len(lines) != 1 {
			t.Errorf("it told %v, %v", lines, err)
		}

		f.on(socketPath, problem(404, "unknown_ticket"))
		f.on(pollPath, problem(404, "unknown_ticket"))
		before := len(f.requests(pollPath))
		if lines, err := follow(t.Context(), c); !HasCode(err, "unknown_ticket") || len(lines) != 0 || len(f.requests(pollPath)) != before+1 {
			t.Errorf("it told %v, %v", lines, err)
		}
		for _, odd := range []http.HandlerFunc{answering(200, `{}`), answering(200, `[]`)} {
			f.on(pollPath, odd)
			if lines, err := follow(t.Context(), c); err == nil || len(lines) != 0 {
				t.Errorf("it told %v, %v", lines, err)
			}
		}
	})
}

// TestOddStreams are not believed, and what polls say is.
func TestOddStreams(t *testing.T) {
	for _, odd := range []string{`{}`, `[]`, `{"id":"0-2","state":`, told("held", "", "") + strings.Repeat(" ", maxMessage)} {
		t.Run(fmt.Sprintf("%.10q", odd), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				f.on(socketPath, streaming(0, odd))
				f.on(pollPath, answering(200, told("sold_out", "", "")))
				lines, err := follow(t.Context(), f.client())
				if err != nil {
					t.Fatal(err)
				}
				expectLines(t, lines, "sold_out")
			})
		})
	}
}

// TestFollowADuplicate: its status is the first request's, and stays so.
func TestFollowADuplicate(t *testing.T) {
	first := func(text string) string { return strings.Replace(text, `"id":"0-2"`, `"id":"0-1"`, 1) }
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(socketPath,
			streaming(0, after("m1", told("queued", "1", "")), after("m2", first(told("waitlisted", "30", "")))),
			streaming(1000, after("m1", told("queued", "0", "")), after("m3", first(told("waitlisted", "29", ""))), after("m4", first(told("sold_out", "", "")))))
		lines, err := follow(t.Context(), f.client())
		if err != nil {
			t.Fatal(err)
		}
		expectLines(t, lines, "queued 1", "waitlisted 30", "waitlisted 29", "sold_out")
	})
}

func TestWait(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		const held = "held"
		story := streaming(1000,
			after("m1", told("queued", "1", "")), after("m2", told("waitlisted", "0", "")), after("m3", told("reserved", "0", "")),
			after("m4", told(held, "", "")), after("m5", told(held, "", `,"expires_at":"2026-11-22T17:02:53Z"`)), after("m6", told("released", "", "")))
		c := f.client()
		for want, enough := range map[string]func(Status) bool{
			"waitlisted 0": Status.Decided,
			"reserved 0":   func(s Status) bool { return s.State == sale.Reserved },
			"released":     func(Status) bool { return false },
		} {
			f.on(socketPath, story)
			if got, err := c.WaitFor(t.Context(), "T", enough); err != nil || line(got) != want {
				t.Errorf("waited for %s: %s, %v", want, line(got), err)
			}
		}
		f.on(socketPath, story)
		if got, err := c.Wait(t.Context(), "T"); err != nil || !got.CanCheckOut() || got.ExpiresAt.IsZero() {
			t.Errorf("settled as %+v, %v", got, err)
		}
		f.on(socketPath, streamed(func(ctx context.Context, c *websocket.Conn) {
			ctx = c.CloseRead(ctx)
			_ = c.Write(ctx, websocket.MessageText, []byte(after("m1", told("queued", "1", ""))))
			<-ctx.Done()
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := c.Wait(ctx, "T"); !errors.Is(err, context.DeadlineExceeded) || line(got) != "queued 1" {
			t.Errorf("what was known is %s, %v", line(got), err)
		}
	})
}

// TestPlacesNeverRise, nor do states go back, whatever servers say.
func TestPlacesNeverRise(t *testing.T) {
	t.Parallel()
	states := []sale.State{sale.Queued, sale.Waitlisted, sale.Reserved, sale.Held, sale.Confirmed, sale.SoldOut, sale.Returned, "to_come"}
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		var shown Status
		var lowest *int64
		for range rapid.IntRange(1, 40).Draw(t, "length") {
			s := Status{ID: rapid.SampledFrom([]string{"0-1", "0-2"}).Draw(t, "id"), State: rapid.SampledFrom(states).Draw(t, "state")}
			if rapid.Bool().Draw(t, "placed") {
				place := rapid.Int64Range(0, 5).Draw(t, "place")
				s.Position = &place
			}
			given, isNews := m.take(s)
			if !isNews {
				continue
			}
			if given.ID != shown.ID || given.State != shown.State {
				lowest = nil
			}
			before, known := rank(shown.State)
			now, knownToo := rank(given.State)
			if given.ID == shown.ID && known && knownToo && now < before {
				t.Fatalf("%s after %s", given.State, shown.State)
			}
			if shown.ID == given.ID && shown.State.Final() && given.State != shown.State {
				t.Fatalf("%s after the end, %s", given.State, shown.State)
			}
			if given.Position != nil {
				if lowest != nil && *given.Position > *lowest {
					t.Fatalf("place %d after %d", *given.Position, *lowest)
				}
				lowest = given.Position
			}
			shown = given
		}
	})
}

// TestRanksFollowTheGraph: no step of a request goes down.
func TestRanksFollowTheGraph(t *testing.T) {
	t.Parallel()
	all := []sale.State{
		sale.Queued, sale.Held, sale.Reserved, sale.Waitlisted, sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned,
	}
	for _, from := range all {
		for _, to := range all {
			before, known := rank(from)
			now, knownToo := rank(to)
			if !known || !knownToo || (from.CanBecome(to) && now <= before) {
				t.Errorf("%s has rank %d, and %s %d", from, before, to, now)
			}
		}
	}
}
