package bench

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/lab/load"
)

// TestNoteStock: units stayed unsold only where somebody asked in vain for one.
// A crowd that was cut off, or told to come again, leaves units that nobody
// wanted.
func TestNoteStock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		units, answered, shed, sold, oversold int64
		unsold                                float64
		broken                                int
	}{
		"all sold":             {units: 2, answered: 10, sold: 2},
		"one left":             {units: 2, answered: 10, sold: 1, unsold: 1, broken: 1},
		"fewer asked":          {units: 10, answered: 4, sold: 4},
		"fewer asked, one not": {units: 10, answered: 4, sold: 3, unsold: 1, broken: 1},
		"most were shed":       {units: 10, answered: 12, shed: 8, sold: 4},
		"oversold":             {units: 2, answered: 10, sold: 3, oversold: 1, broken: 1},
		"sold to the unheard":  {units: 10, answered: 3, sold: 4}, // the answer was lost
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial := newTrial(&fakeStack{}, quickSize, nil)
			seen := load.Result{Answered: int(c.answered), Shed: int(c.shed)}
			clicks{units: c.units}.noteStock(trial, &seen, c.sold, c.oversold, max(0, c.units-c.sold))
			figures := trial.round.Figures
			if figures["sold"] != float64(c.sold) || figures["oversold"] != float64(c.oversold) || figures["unsold"] != c.unsold {
				t.Errorf("noted %v, want %v unsold", figures, c.unsold)
			}
			if len(trial.round.Broken) != c.broken {
				t.Errorf("broken is %q, want %d", trial.round.Broken, c.broken)
			}
		})
	}
}

// TestNoteStockNeverInvents: it is between none and what the database has left,
// and the latter once everybody who could have bought has asked.
func TestNoteStockNeverInvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int64Range(1, 100).Draw(t, "units")
		sold := rapid.Int64Range(0, units).Draw(t, "sold")
		answered := rapid.IntRange(int(sold), 200).Draw(t, "answered")
		shed := rapid.IntRange(0, answered-int(sold)).Draw(t, "shed")
		trial := newTrial(&fakeStack{}, quickSize, nil)
		clicks{units: units}.noteStock(trial, &load.Result{Answered: answered, Shed: shed}, sold, 0, units-sold)
		got, left := trial.round.Figures["unsold"], float64(units-sold)
		if got < 0 || got > left {
			t.Fatalf("%v unsold, of %v that are left", got, left)
		}
		want := left
		if asked := int64(answered - shed); asked < units {
			want = float64(asked - sold) // who asked in vain
		}
		if got != want {
			t.Fatalf("%v unsold, want %v: %d of %d units were sold, %d answered and %d shed", got, want, sold, units, answered, shed)
		}
		if (got > 0) != (len(trial.round.Broken) > 0) {
			t.Fatalf("%v unsold, but broken is %q", got, trial.round.Broken)
		}
	})
}
