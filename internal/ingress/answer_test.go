package ingress

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// drawStatus draws a status that may have anything in it.
func drawStatus(t *rapid.T) *status {
	text := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9_:.-]{0,20}`), rapid.String(), rapid.StringMatching(`[ -~]*`),
		rapid.SampledFrom([]string{"", `"`, `\`, "<a&b>", "\x00\n\x7f", "ü", "\u2028", "\xff", "a\xc3"}),
	)
	number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 10))
	draw := func(name string) string { return text.Draw(t, name) }
	return &status{
		Ticket: draw("ticket"), ID: draw("id"), Product: draw("product"), Quantity: number.Draw(t, "quantity"),
		State: sale.State(draw("state")), Position: rapid.Ptr(number, true).Draw(t, "position"), ETASeconds: rapid.Ptr(number, true).Draw(t, "eta"),
		Reason: sale.Reason(draw("reason")), ExpiresAt: draw("expires"), CheckoutURL: draw("url"), RequestedAt: draw("requested"),
		DecidedAt: draw("decided"), ServerTime: draw("server time"), PollAfter: number.Draw(t, "poll after"),
	}
}

// TestStatusIsWrittenAsJSON compares what is written by hand with what
// encoding/json makes of the struct, which is what its tags say.
func TestStatusIsWrittenAsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawStatus(t)
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.appendJSON(nil); string(got) != string(want) {
			t.Fatalf("%s\nby encoding/json:\n%s", got, want)
		}
	})
}

// TestTimestamps compares what is written by hand with what Format gives.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.OneOf(
			rapid.Int64Range(0, 1<<42), rapid.Int64Range(-1<<48, 1<<48),
			rapid.SampledFrom([]int64{0, -1, 951_782_400_000, 253_402_300_799_999, 253_402_300_800_000, -62_167_219_200_000, -62_167_219_200_001}),
		)
		a, b := sale.Time(times.Draw(t, "a")), sale.Time(times.Draw(t, "b"))
		gotA, gotB := timestamps(a, b)
		for _, c := range []struct {
			of       sale.Time
			got, two string
		}{{a, timestamp(a), gotA}, {b, timestamp(b), gotB}} {
			if want := time.UnixMilli(int64(c.of)).UTC().Format(timestampForm); c.got != want || c.two != want {
				t.Fatalf("%d: %s and %s, by Format %s", c.of, c.got, c.two, want)
			}
		}
	})
}

// BenchmarkAnswer writes a status by hand, as answers do, and by encoding/json.
func BenchmarkAnswer(b *testing.B) {
	position := int64(12_345)
	s := &status{
		Ticket: strings.Repeat("AbCdEfGhIj", 12), ID: "3-123456", Product: "shirt", Quantity: 1, State: sale.Queued, Position: &position,
		RequestedAt: timestamp(minute(1)), ServerTime: timestamp(minute(2)), PollAfter: 1234,
	}
	e := echo.New()
	for name, write := range map[string]func(echo.Context) error{
		"used":       func(c echo.Context) error { writeStatus(c, http.StatusOK, s); return nil },
		"in general": func(c echo.Context) error { return writeJSON(c, http.StatusOK, s) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r, to := request("GET", "/", "", nil), nowhere{http.Header{}}
			for b.Loop() {
				if err := write(e.NewContext(r, to)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTimestamps(b *testing.B) {
	now := sale.Time(time.Now().UnixMilli())
	for b.Loop() {
		timestamps(now, now)
	}
}
