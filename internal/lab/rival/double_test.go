package rival

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// TestDoubleClick stops two clicks of one buyer where neither knows of the
// other: where each could take a unit, and where there is only one.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	eachCorrect(t, all, func(t *testing.T, b devstacktest.Backends, kind Kind) {
		for _, units := range []int64{1, 2} {
			config := on(b, kind, units)
			config.Pool = 3
			r := made(t, config)
			lock := "SELECT FROM rival_stock FOR UPDATE"
			switch {
			case kind == SkipLocked:
				lock = "SELECT FROM rival_holds WHERE buyer IS NULL FOR UPDATE"
			case kind.UsesRedis():
				lock = "LOCK TABLE rival_holds IN SHARE MODE"
			}
			release := devstacktest.Hold(t, b.PostgresURL, lock)
			answers := make(chan told, 2)
			for range 2 {
				go func() { answers <- click(t.Context(), t, r, "ann") }()
			}
			if kind != SkipLocked { // which waits for nobody, and tries again
				eventually(t, "both clicks wait", func() bool {
					waiting := devstacktest.Count(t, b.PostgresURL,
						"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
					if f := flightsOf(r); f != nil && f.awaited() {
						waiting++
					}
					return waiting == 2
				})
			}
			release()
			heard := []told{<-answers, <-answers}
			slices.SortFunc(heard, func(a, b told) int { return a.code - b.code })
			if heard[0].code != http.StatusOK || heard[1].code != http.StatusAccepted || heard[0].status.ID != heard[1].status.ID {
				t.Errorf("of %d: heard %+v, want one hold, taken once", units, heard)
			}
			wantTally(t, r, Tally{Sold: 1, Unsold: units - 1})
			if h := click(t.Context(), t, r, fmt.Sprintf("bob-%d", units)); (h.code == http.StatusAccepted) != (units == 2) {
				t.Errorf("of %d: the next buyer heard %+v", units, h)
			}
			r.Close()
		}
	})
}
