package rival

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// eachCorrect runs the test for every kind that keeps what it promises, on
// embedded and on real backends.
func eachCorrect(t *testing.T, of func(Kind) bool, test func(t *testing.T, b devstacktest.Backends, kind Kind)) {
	t.Helper()
	for _, kind := range Kinds() {
		if kind == BareEcho || kind.Oversells() || !of(kind) {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) { test(t, b, kind) })
		})
	}
}

func all(Kind) bool { return true }

// TestSellsEachUnitOnce: 2,000 buyers at once for 50 units, of whom 200 click
// three times.
func TestSellsEachUnitOnce(t *testing.T) {
	t.Parallel()
	const buyers, impatient, units = 2000, 200, 50
	eachCorrect(t, all, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		config := on(b, kind, units)
		config.Pool = 4 // many tests share a server; and enough for clicks to meet
		r := made(t, config)
		var clicks []string
		for i := range buyers {
			buyer := fmt.Sprintf("buyer-%d", i)
			clicks = append(clicks, buyer)
			if i < impatient {
				clicks = append(clicks, buyer, buyer)
			}
		}
		rand.Shuffle(len(clicks), func(i, j int) { clicks[i], clicks[j] = clicks[j], clicks[i] })
		heard := make([]told, len(clicks))
		begin := make(chan struct{})
		var crowd sync.WaitGroup
		for i, buyer := range clicks {
			crowd.Go(func() {
				<-begin
				heard[i] = click(t.Context(), t, r, buyer)
			})
		}
		close(begin)
		crowd.Wait()

		holds := make(map[string]string) // id by buyer
		for i, h := range heard {
			if h.code == http.StatusAccepted {
				if holds[clicks[i]] != "" {
					t.Errorf("%s got two units", clicks[i])
				}
				holds[clicks[i]] = h.status.ID
			}
		}
		for i, h := range heard {
			id := holds[clicks[i]]
			switch {
			case id != "" && (h.code == http.StatusAccepted || h.code == http.StatusOK) && h.status.ID == id:
			case id == "" && h.code == http.StatusGone && h.problem.Code == "sold_out":
			default:
				t.Errorf("%s, whose hold is %q, heard %+v", clicks[i], id, h)
			}
		}
		if len(holds) != units {
			t.Errorf("%d heard that they have a unit, want %d", len(holds), units)
		}
		wantTally(t, r, Tally{Sold: units})
		if of := devstacktest.Count(t, b.PostgresURL, "SELECT count(DISTINCT buyer) FROM rival_holds"); of != units {
			t.Errorf("%d buyers have a row, want %d", of, units)
		}
		for buyer, id := range holds { // long after
			if h := click(t.Context(), t, r, buyer); h.code != http.StatusOK || h.status.ID != id {
				t.Errorf("%s, whose hold is %q, heard afterwards %+v", buyer, id, h)
			}
		}
		if kind.UsesRedis() && left(t, r) != 0 {
			t.Errorf("%d left in redis, want 0", left(t, r))
		}
	})
}

// TestOversells stops eight clicks where they have read that one unit is left:
// all of them sell it.
func TestOversells(t *testing.T) {
	t.Parallel()
	const clicks = 8
	for _, kind := range []Kind{Naive, CacheCheck} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
				config := on(b, kind, 1)
				config.Pool = clicks
				var reading, crowd sync.WaitGroup
				reading.Add(clicks)
				config.hooks.afterRead = func() {
					reading.Done()
					reading.Wait()
				}
				r := made(t, config)
				for i := range clicks {
					crowd.Go(func() {
						if h := click(t.Context(), t, r, fmt.Sprintf("buyer-%d", i)); h.code != http.StatusAccepted {
							t.Errorf("heard %+v", h)
						}
					})
				}
				crowd.Wait()
				wantTally(t, r, Tally{Sold: clicks, Oversold: clicks - 1})
				if h := click(t.Context(), t, r, "late"); h.code != http.StatusGone {
					t.Errorf("who comes late heard %+v", h)
				}
				if h := click(t.Context(), t, r, "buyer-0"); h.code != http.StatusOK {
					t.Errorf("who has a unit heard %+v", h)
				}
			})
		})
	}
}

// TestSellsAnew: a Rival on what another one has left begins with everything.
func TestSellsAnew(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		if kind == BareEcho {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := devstacktest.Embedded(t)
			for range 2 {
				r, err := New(t.Context(), on(b, kind, 2))
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusGone} {
					if h := click(t.Context(), t, r, fmt.Sprintf("buyer-%d", i)); h.code != want {
						t.Errorf("buyer %d heard %+v, want %d", i, h, want)
					}
				}
				wantTally(t, r, Tally{Sold: 2})
				r.Close()
			}
		})
	}
}
