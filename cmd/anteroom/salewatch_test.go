package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/client"
)

// scriptedSales answers in turn, and ends the watch after the last answer.
type scriptedSales struct {
	script []func() (client.Sale, error)
	asked  []time.Duration // when, since the first
	first  time.Time
	end    context.CancelFunc
	ahead  time.Duration // the service's clock
}

func (s *scriptedSales) Sale(ctx context.Context, product string) (client.Sale, error) {
	if s.first.IsZero() {
		s.first = time.Now()
	}
	if len(s.script) == 0 {
		s.end()
		return client.Sale{}, ctx.Err()
	}
	s.asked = append(s.asked, time.Since(s.first))
	answer := s.script[0]
	s.script = s.script[1:]
	if product != "console" {
		return client.Sale{}, errors.New("another product")
	}
	return answer()
}

func (s *scriptedSales) Product(context.Context, string) (client.Product, error) {
	return client.Product{ServerTime: time.Now().Add(s.ahead)}, nil
}

// like gives the usual sale with changes.
func like(change func(*client.Sale)) func() (client.Sale, error) {
	s := client.Sale{
		Sale: "2-17", Product: "console", State: "open", Quantity: 10, Policy: "waitlist", WaitlistCapacity: 50, Available: 10, Version: 3,
		CreatedAt: time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC),
	}
	change(&s)
	return func() (client.Sale, error) { return s, nil }
}

func decided(requests, confirmed int64) func() (client.Sale, error) {
	return like(func(s *client.Sale) {
		s.Requests, s.Confirmed, s.Held, s.Available, s.Line = requests, confirmed, 2, 8-confirmed, 4
	})
}

func refused(status int, code string, after time.Duration) func() (client.Sale, error) {
	return func() (client.Sale, error) {
		return client.Sale{}, &client.Problem{Status: status, Code: code, Title: "no", RetryAfter: after}
	}
}

func closed() (client.Sale, error) {
	return like(func(s *client.Sale) {
		s.State, s.Requests, s.ClosedAt = "closed", 1000, time.Date(2000, 1, 1, 0, 0, 3, 0, time.UTC)
	})()
}

// watchScript watches a script in time that stands still while it works.
func watchScript(t *testing.T, api *scriptedSales, display func(terminal) saleDisplay, change func(*saleWatch)) (out, complaints string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		api.end = end
		var stdout, stderr bytes.Buffer
		w := &saleWatch{api: api, product: "console", interval: time.Second, patience: time.Hour, show: display(terminal{out: &stdout, err: &stderr})}
		if change != nil {
			change(w)
		}
		err = w.run(ctx)
		out, complaints = stdout.String(), stderr.String()
	})
	return out, complaints, err
}

func plainLines(t terminal) saleDisplay { return &saleLines{t: t} }
func jsonLines(t terminal) saleDisplay  { return &saleLines{t: t, json: true} }

func screen(t terminal) saleDisplay {
	return &saleScreen{out: t.out, width: func() int { return 100 }}
}

// TestWatchLines shows the lines of a sale from before its opening to its close,
// with the service away in between, until ^C.
func TestWatchLines(t *testing.T) {
	t.Parallel()
	opens := time.Date(2000, 1, 1, 1, 0, 3, 0, time.UTC)
	scheduled := like(func(s *client.Sale) { s.State, s.OpensAt = "scheduled", opens })
	out, complaints, err := watchScript(t, &scriptedSales{
		// The service's clock is an hour ahead of this one.
		ahead:  time.Hour,
		script: []func() (client.Sale, error){scheduled, scheduled, decided(100, 0), decided(350, 2), refused(503, "unavailable", 0), refused(503, "unavailable", 0), decided(400, 2), closed},
	}, plainLines, nil)
	if err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(out, "\n")
	if diff := cmp.Diff(`2000-01-01T00:00:00Z  console  scheduled, opens in 00:00:03  available 10  reserved 0  held 0  confirmed 0  line 0  waitlisted 0  decided 0  version 3
2000-01-01T00:00:01Z  console  scheduled, opens in 00:00:02  available 10  reserved 0  held 0  confirmed 0  line 0  waitlisted 0  decided 0 (0.0/s)  version 3
2000-01-01T00:00:02Z  console  open  available 8  reserved 0  held 2  confirmed 0  line 4  waitlisted 0  decided 100 (100.0/s)  version 3
2000-01-01T00:00:03Z  console  open  available 6  reserved 0  held 2  confirmed 2  line 4  waitlisted 0  decided 350 (250.0/s)  version 3
`, strings.Join(lines[:4], "")); diff != "" || len(lines) != 7 || !strings.Contains(lines[5], "closed") {
		t.Errorf("lines (-want +got):\n%s%s", diff, out)
	}
	if said := strings.Split(complaints, "\n"); len(said) != 3 ||
		said[0] != "2000-01-01T00:00:04Z  no answer, asking again: no (503 unavailable)" || !strings.Contains(said[1], "it answers again, after ") {
		t.Errorf("it said:\n%s", complaints)
	}
}

// TestWatchJSON shows the lines for programs.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	out, _, err := watchScript(t, &scriptedSales{script: []func() (client.Sale, error){decided(100, 3), decided(105, 1), closed}}, jsonLines,
		func(w *saleWatch) { w.interval, w.untilClosed = 2*time.Second, true })
	if err != nil {
		t.Error(err)
	}
	var states []string
	for line := range strings.Lines(out) {
		var got struct {
			At        time.Time `json:"at"`
			Sale      string    `json:"sale"`
			Product   string    `json:"product"`
			State     string    `json:"state"`
			Requests  *int64    `json:"requests"`
			Version   int64     `json:"version"`
			Decided   *float64  `json:"decided_per_second"`
			Confirmed *float64  `json:"confirmed_per_second"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Sale != "2-17" || got.Product != "console" || got.Version != 3 || got.Requests == nil {
			t.Errorf("%v: %s", err, line)
		}
		rate := func(of *float64) string {
			if of == nil {
				return "none"
			}
			return fmt.Sprint(*of)
		}
		states = append(states, got.At.Format(time.TimeOnly)+" "+got.State+" "+rate(got.Decided)+" "+rate(got.Confirmed))
	}
	if diff := cmp.Diff([]string{"00:00:00 open none none", "00:00:02 open 2.5 0", "00:00:04 closed 447.5 0"}, states); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestWatchScreen shows what is on a terminal, and that it is written over.
func TestWatchScreen(t *testing.T) {
	t.Parallel()
	out, complaints, err := watchScript(t, &scriptedSales{
		script: []func() (client.Sale, error){decided(100, 0), decided(350, 2), refused(503, "unavailable", 0), decided(351, 2)},
	}, screen, nil)
	if err != nil || complaints != "" {
		t.Errorf("%v %s", err, complaints)
	}
	second := `console: sale 2-17, version 3, at 2000-01-01T00:00:01Z
  state      open
  units      [############============....................................] 10
             # confirmed 2   = held 2   - reserved 0   . available 6
  line       4 undecided
  waitlist   0 of at most 50
  decided    350, 250.0/s; sold out 0, rejected 0
  confirmed  2 of 10, 2.0/s
`
	drawn := strings.Split(out, "\r\x1b[J")
	if len(drawn) != 5 || drawn[0] != "" || !strings.HasSuffix(drawn[1], "\x1b[8A") {
		t.Fatalf("it drew %q", drawn)
	}
	if diff := cmp.Diff(second+"\x1b[8A", drawn[2]); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(second+"\nno answer for 0s, asking again: no (503 unavailable)\n\x1b[10A", drawn[3]); diff != "" {
		t.Errorf("screen without an answer (-want +got):\n%s", diff)
	}
	if strings.Contains(drawn[4], "no answer") {
		t.Errorf("the trouble stays: %s", drawn[4])
	}
}

// TestScreenStates shows the lines that not every sale has, and that none is
// longer than the screen or obeys what others wrote.
func TestScreenStates(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*client.Sale){
		"paused":                             func(s *client.Sale) { s.State = "paused" },
		"parked     3":                       func(s *client.Sale) { s.Parked = 3 },
		"closed, since 2000-01-01T00":        func(s *client.Sale) { s.State, s.ClosedAt = "closed", time.Unix(946684800, 0) },
		"open, closes at 2000-01-01T00":      func(s *client.Sale) { s.ClosesAt = time.Unix(946684800, 0) },
		"open (stopped)":                     func(s *client.Sale) { s.Stopped = "why" },
		`stopped    a\nb\x1b[2Jccc`:          func(s *client.Sale) { s.Stopped = "a\nb\x1b[2J" + strings.Repeat("c", 300) },
		"waitlist   0 of at most 50":         func(*client.Sale) {},
		"1000000000\n             # confirm": func(s *client.Sale) { s.Quantity, s.Available = 1e9, 1e9 },
	} {
		found, err := like(change)()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		display := &saleScreen{out: &out, width: func() int { return 60 }}
		if err := display.view(&saleView{at: time.Unix(0, 0), sale: found}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), says) {
			t.Errorf("it does not say %q:\n%s", says, out.String())
		}
		drawn := strings.TrimPrefix(out.String(), "\r\x1b[J")
		if strings.Contains(drawn, "\x1b") || strings.Count(drawn, "\n") != display.height {
			t.Errorf("it obeys: %q", drawn)
		}
		for line := range strings.Lines(drawn) {
			if len(line) > 60 {
				t.Errorf("too long: %s", line)
			}
		}
	}
}

// TestWatchGoesOn shows what is asked again and when, and what is not.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	lost := func() (client.Sale, error) {
		return client.Sale{}, fmt.Errorf("connection reset: %w", client.ErrUnknown)
	}
	odd := func() (client.Sale, error) { return client.Sale{}, errors.New("the answer is no sale") }
	for name, c := range map[string]struct {
		script []func() (client.Sale, error)
		asks   int
		ends   string // with this error; empty: with ^C
	}{
		"away at first":           {[]func() (client.Sale, error){lost, refused(502, "", 0), decided(1, 0)}, 3, ""},
		"away later":              {[]func() (client.Sale, error){decided(1, 0), lost, refused(503, "unavailable", 0), lost, decided(2, 0)}, 5, ""},
		"asked too often":         {[]func() (client.Sale, error){refused(429, "", 3*time.Second), decided(1, 0)}, 2, ""},
		"a proxy's own answer":    {[]func() (client.Sale, error){decided(1, 0), refused(404, "", 0), decided(2, 0)}, 3, ""},
		"not known for a moment":  {[]func() (client.Sale, error){decided(1, 0), refused(404, "unknown_product", 0), decided(2, 0)}, 3, ""},
		"not known":               {[]func() (client.Sale, error){refused(404, "unknown_product", 0)}, 1, "unknown_product"},
		"not anteroom":            {[]func() (client.Sale, error){refused(404, "", 0)}, 1, "404"},
		"not allowed":             {[]func() (client.Sale, error){refused(401, "unauthorized", 0)}, 1, "unauthorized"},
		"not allowed any more":    {[]func() (client.Sale, error){decided(1, 0), refused(401, "unauthorized", 0)}, 2, "unauthorized"},
		"an answer of other kind": {[]func() (client.Sale, error){decided(1, 0), odd}, 2, "no sale"},
	} {
		api := &scriptedSales{script: c.script}
		_, _, err := watchScript(t, api, plainLines, nil)
		if len(api.asked) != c.asks || (err == nil) != (c.ends == "") || err != nil && !strings.Contains(err.Error(), c.ends) {
			t.Errorf("%s: asked %d times, want %d; %v, want %q", name, len(api.asked), c.asks, err, c.ends)
		}
	}
}

// TestWatchPatience shows that the pauses grow, are as long as the service asks
// for, and end.
func TestWatchPatience(t *testing.T) {
	t.Parallel()
	script := make([]func() (client.Sale, error), 1000)
	for i := range script {
		script[i] = refused(503, "unavailable", 0)
	}
	api := &scriptedSales{script: script}
	_, complaints, err := watchScript(t, api, plainLines, func(w *saleWatch) { w.patience = time.Minute })
	last := api.asked[len(api.asked)-1]
	if err == nil || !strings.Contains(err.Error(), "given up after 1m") || last < time.Minute || last > time.Minute+longestPause || len(api.asked) > 35 {
		t.Errorf("given up after %s and %d tries: %v", last, len(api.asked), err)
	}
	if strings.Count(complaints, "\n") != 1 {
		t.Errorf("it said:\n%s", complaints)
	}

	api = &scriptedSales{script: []func() (client.Sale, error){decided(1, 0), refused(503, "", 20*time.Second), decided(1, 0), refused(503, "", 0), decided(1, 0)}}
	if _, _, err = watchScript(t, api, plainLines, nil); err != nil {
		t.Error(err)
	}
	if asked := api.asked[2] - api.asked[1]; asked < 20*time.Second || asked > 40*time.Second {
		t.Errorf("it came back after %s, and was asked to wait for 20 s", asked)
	}
	if asked := api.asked[4] - api.asked[3]; asked > time.Second {
		t.Errorf("it came back after %s from a new trouble", asked)
	}
}

// TestWatchOtherAnswers shows what is made of answers that are no next ones: of
// a server that is behind, and of the product's next sale.
func TestWatchOtherAnswers(t *testing.T) {
	t.Parallel()
	older := like(func(s *client.Sale) { s.Sale, s.CreatedAt, s.Requests = "2-1", s.CreatedAt.Add(-time.Hour), 999 })
	lower := like(func(s *client.Sale) { s.Version, s.Requests = 2, 200 })
	next := like(func(s *client.Sale) { s.Sale, s.CreatedAt, s.Version = "2-99", s.CreatedAt.Add(time.Hour), 1 })
	out, _, err := watchScript(t, &scriptedSales{script: []func() (client.Sale, error){decided(100, 0), older, decided(90, 0), lower, decided(104, 0), next, next}}, plainLines, nil)
	if err != nil || strings.Count(out, "\n") != 4 || !strings.Contains(out, "decided 104 (1.0/s)") || strings.Contains(out, "999") ||
		!strings.Contains(out, "decided 0  version 1\n") {
		t.Errorf("%v\n%s", err, out)
	}
	api := &scriptedSales{script: []func() (client.Sale, error){decided(100, 0), next, next}}
	if _, _, err := watchScript(t, api, plainLines, func(w *saleWatch) { w.untilClosed = true }); err != nil || len(api.asked) != 2 {
		t.Errorf("a sale that is followed by another is closed: asked %d times, %v", len(api.asked), err)
	}
}

// TestWatchCommand runs the command until its sale is closed, and until ^C.
func TestWatchCommand(t *testing.T) {
	t.Parallel()
	f := newFakeService(t, map[string]string{"GET /v1/sales/console": closedSale, "GET /v1/sales/other": shown})
	code, out, complaints := f.try(t, "watch", "console", "--until-closed", "--json")
	var line map[string]any
	if err := json.Unmarshal([]byte(out), &line); code != exitDone || complaints != "" || err != nil || line["state"] != "closed" || line["at"] == nil {
		t.Errorf("exit %d, %v, %s%s", code, err, out, complaints)
	}

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	lines := &interruptedAfter{lines: 3, interrupt: interrupt}
	code = run(ctx, []string{"sale", "watch", "other", "--interval", "100ms", "--url", f.url, "--operator-token", "secret"}, terminal{out: lines, err: lines})
	if said := lines.said.String(); code != exitDone || strings.Count(said, "available 5") != 3 {
		t.Errorf("exit %d:\n%s", code, said)
	}
}

// interruptedAfter ends a command that has said enough.
type interruptedAfter struct {
	said      bytes.Buffer
	lines     int
	interrupt context.CancelFunc
}

func (i *interruptedAfter) Write(p []byte) (int, error) {
	n, err := i.said.Write(p)
	if bytes.Count(i.said.Bytes(), []byte("\n")) >= i.lines {
		i.interrupt()
	}
	return n, err
}

// TestUnitsBar shows that the bar is as wide as it should be, and hides nothing.
func TestUnitsBar(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int64Range(0, 1e9)
		s := &client.Sale{
			Confirmed: units.Draw(t, "confirmed"), Held: units.Draw(t, "held"), Reserved: units.Draw(t, "reserved"), Available: units.Draw(t, "available"),
		}
		s.Quantity = s.Confirmed + s.Held + s.Reserved + s.Available
		width := rapid.IntRange(-10, 100).Draw(t, "width")
		bar := unitsBar(s, width)
		if s.Quantity == 0 || width < 4 {
			if bar != "" {
				t.Fatalf("a bar of nothing: %q", bar)
			}
			return
		}
		if len(bar) != width {
			t.Fatalf("%d wide, want %d: %q", len(bar), width, bar)
		}
		for sign, n := range map[string]int64{"#": s.Confirmed, "=": s.Held, "-": s.Reserved, ".": s.Available} {
			if (n > 0) != strings.Contains(bar, sign) {
				t.Fatalf("%d of %q in %q", n, sign, bar)
			}
		}
	})
}

func TestCountdown(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		-time.Second:                   "opens now",
		0:                              "opens now",
		time.Millisecond:               "opens in 00:00:01",
		time.Hour - time.Millisecond:   "opens in 01:00:00",
		49*time.Hour + 61*time.Second:  "opens in 2 d 01:01:01",
		24*time.Hour - 2*time.Second/3: "opens in 1 d 00:00:00",
	} {
		if got := countdown(left); got != want {
			t.Errorf("%s: %s, want %s", left, got, want)
		}
	}
}
