package explain

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// first gives what was decided first about a request.
func first(n *audittest.Plain, request sale.Offset) sale.Decision {
	for _, d := range n.Decisions {
		if d.Kind == sale.OfRequest && d.Request.Offset == request {
			return d
		}
	}
	return sale.Decision{}
}

// atTurn gives the state after what fell due before a record, without what the
// record did, and how many decisions that took.
func atTurn(t *rapid.T, records []sale.Record, at sale.Offset) (sale.Snapshot, int) {
	core := sale.New()
	var changes sale.Changes
	for _, r := range records[:at] {
		if err := core.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
	}
	changes.Reset()
	if err := core.Apply(sale.Record{Offset: at, Time: records[at].Time}, &changes); err != nil { // malformed
		t.Fatal(err)
	}
	return core.Snapshot(), len(changes.Decisions) - 1
}

// TestAgreesWithTheDecisions tells the story of each request of random
// logs and holds its facts against what the core decided.
func TestAgreesWithTheDecisions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := audittest.Decide(saletest.Log(t))
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{saletest.Entries(n.Records)}}}
		snapshot := n.Core.Snapshot()
		for i, record := range n.Records {
			bought, ok := record.Body.(sale.Buy)
			if !ok {
				continue
			}
			offset := sale.Offset(i)
			story, err := Request(t.Context(), h, 0, offset)
			if err != nil {
				t.Fatal(err)
			}
			checkEnd(n, t, story, &snapshot)
			first := first(n, offset)
			if first.Request.Sale != sale.None {
				checkBefore(n, t, story, bought, &first)
			}
		}
	})
}

// checkEnd holds what a story ends with against the core.
func checkEnd(n *audittest.Plain, t *rapid.T, story *Story, at *sale.Snapshot) {
	var row sale.Request
	for _, d := range n.Decisions {
		if d.Kind == sale.OfRequest && d.Request.Offset == story.Offset {
			row = d.Request
		}
	}
	if story.State != row.State || story.Reason != row.Reason || story.Final != row.State.Final() {
		t.Fatalf("%s is told to be %s %s, final %t: the core has %+v", story.ID, story.State, story.Reason, story.Final, row)
	}
	if (story.First != nil) != (row.Reason == sale.ReasonDuplicate) || story.First != nil && story.First.Offset != row.First {
		t.Fatalf("%s: %+v is the first of %+v", story.ID, story.First, row)
	}
	var ends event.Instant
	var place *int64
	for _, s := range at.Sales {
		if s.ID != row.Sale {
			continue
		}
		end, _ := s.EndOf(&row, at.Starts)
		ends = event.Instant(end)
		if row.State == sale.Waitlisted || row.State == sale.Reserved {
			place = new(int64)
		}
		for _, other := range at.Requests {
			before := other.Offset < row.Offset
			if row.State == sale.Reserved && other.Granted != row.Granted {
				before = other.Granted < row.Granted
			}
			if place != nil && other.Sale == s.ID && other.State == row.State && before {
				*place++
			}
		}
	}
	if story.Ends != ends {
		t.Fatalf("%s is told to end at %s: the core has %s, %+v", story.ID, story.Ends, ends, row)
	}
	if diff := cmp.Diff(place, story.Place); diff != "" {
		t.Fatalf("%s: place (-core +told):\n%s", story.ID, diff)
	}
}

// checkBefore holds what a story says of the time before a request against the
// records and decisions before it.
func checkBefore(n *audittest.Plain, t *rapid.T, story *Story, bought sale.Buy, first *sale.Decision) {
	var requests int64
	seen := map[sale.Offset]bool{}
	for _, d := range n.Decisions {
		if d.Kind == sale.OfRequest && d.Request.Sale == first.Request.Sale && d.Request.Offset < story.Offset && !seen[d.Request.Offset] {
			seen[d.Request.Offset] = true
			requests++
		}
	}
	if story.RequestsBefore != requests || story.RecordsBefore != int64(story.Offset) {
		t.Fatalf("%s: %d requests of its sale are told to be before it, there were %d", story.ID, story.RequestsBefore, requests)
	}
	if first.Request.State == sale.Queued {
		return // its turn came in the midst of a record: the shelf's test sees to that
	}
	snapshot, due := atTurn(t, n.Records, story.Offset)
	for _, s := range snapshot.Sales {
		if s.ID != first.Request.Sale {
			continue
		}
		got := *story.Turn
		if got.Available != s.Available || got.MayYetSell != s.MayYetSell() || got.Waiting != s.Waitlisted || story.Terms.Settings != s.Settings {
			t.Fatalf("%s: told %+v at its turn, the core had %+v", story.ID, got, s)
		}
		refused := first.Request.State == sale.Waitlisted || first.Request.Reason == sale.ReasonSoldOut
		var want, told sale.Offset
		var by sale.Offset
		if refused && s.Available < bought.Quantity {
			want, by = lastUnit(n, t, &s, story.Offset, due, bought.Quantity)
		}
		if story.LastUnit != nil {
			told = story.LastUnit.Offset
		}
		if told != want || told != 0 && by != story.LastUnit.Request && !blurred(n, want, s.ID) {
			t.Fatalf("%s: the last unit is told to have gone with %+v, it went at %d to %d", story.ID, story.LastUnit, want, by)
		}
		if kept := refused && s.Available >= bought.Quantity; kept != (got.KeptFor != 0) {
			t.Fatalf("%s: kept for %d, with %+v", story.ID, got.KeptFor, s)
		}
	}
}

// lastUnit goes back from a request's turn to the offset at which so many units
// were available for the last time, and to the request that it gave units, if
// it did; 0 is never.
func lastUnit(n *audittest.Plain, t *rapid.T, at *sale.Sale, turn sale.Offset, due int, wanted int64) (cause, by sale.Offset) {
	available := at.Available
	back := func(units int64) bool {
		before := available
		available -= units
		return available >= wanted && before < wanted
	}
	quantity := at.Quantity
	for cause = turn; cause > at.ID; cause-- {
		var here []sale.Decision
		for _, d := range n.Decisions {
			if d.Cause == cause {
				here = append(here, d)
			}
		}
		more := int64(0)
		if cause == turn {
			here = here[:due]
		} else if more = raisedBy(n, cause, at.ID, quantity); more != 0 {
			_, due = atTurn(t, n.Records, cause)
		}
		for i := len(here); i >= 0; i-- {
			if i == due && more != 0 { // where the record acts
				quantity -= more
				if back(more) {
					return cause, 0
				}
			}
			if i > 0 && here[i-1].Kind == sale.OfRequest && here[i-1].Request.Sale == at.ID && back(moved(n, &here[i-1].Request, cause, here[i-1].Index)) {
				return cause, here[i-1].Request.Offset
			}
		}
	}
	return 0, 0
}

// blurred reports whether a record took units off a sale after holds of it had
// run out: then it cannot be seen which of the two gave others units.
func blurred(n *audittest.Plain, cause, id sale.Offset) bool {
	if _, ok := n.Records[cause].Body.(sale.Update); !ok {
		return false
	}
	for _, d := range n.Decisions {
		if d.Cause == cause && d.Kind == sale.OfRequest && d.Request.Sale == id && d.Request.State == sale.Expired {
			return true
		}
	}
	return false
}

// raisedBy gives how many units a record put on sale.
func raisedBy(n *audittest.Plain, cause, id sale.Offset, quantity int64) int64 {
	for before := cause - 1; before >= id; before-- {
		for _, s := range n.Sales[before] {
			if s.ID == id {
				return quantity - s.Quantity
			}
		}
	}
	return 0
}

// moved gives how many units a decision made available, from what the request
// was before.
func moved(n *audittest.Plain, r *sale.Request, cause sale.Offset, index int) int64 {
	had := func(state sale.State) bool {
		return state == sale.Held || state == sale.Reserved || state == sale.Confirmed
	}
	was := sale.Queued
	for _, d := range n.Decisions {
		if d.Cause > cause || d.Cause == cause && d.Index >= index {
			break
		}
		if d.Kind == sale.OfRequest && d.Request.Offset == r.Offset {
			was = d.Request.State
		}
	}
	switch {
	case had(was) && !had(r.State):
		return r.Quantity
	case !had(was) && had(r.State):
		return -r.Quantity
	}
	return 0
}

// shelfWatch holds the shelf against the core after every record.
type shelfWatch struct {
	*explaining
	t rapid.TB
}

func (w shelfWatch) Step(r *audit.Replay, s audit.Step) error {
	if err := w.explaining.Step(r, s); err != nil {
		return err
	}
	of := &w.explaining.sale
	if w.shelf.available != of.Available || int64(len(w.shelf.waiting)) != of.Waitlisted {
		w.t.Fatalf("after %d the shelf has %d and %d wait, the core %d and %d", s.Record.Offset, w.shelf.available, len(w.shelf.waiting), of.Available, of.Waitlisted)
	}
	var lots int64
	for _, lot := range w.shelf.lots {
		lots += lot.Units
	}
	if w.shelf.note && lots != of.Available {
		w.t.Fatalf("after %d the lots have %d of %d", s.Record.Offset, lots, of.Available)
	}
	for _, event := range w.story.Events {
		var freed int64
		for _, f := range event.Freed {
			freed += f.Units
		}
		waited := w.row.Granted != 0 || event.Kind == WasHeld
		if waited && len(event.Freed) > 0 && freed != w.story.Quantity {
			w.t.Fatalf("%s got %d units: %+v", w.story.ID, freed, event)
		}
	}
	return nil
}

// TestShelfFollowsTheCore shows that what is in between is counted right, also
// from a snapshot on.
func TestShelfFollowsTheCore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := audittest.Decide(saletest.Log(t))
		entries := saletest.Entries(n.Records)
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
		for i := range n.Records {
			if _, ok := n.Records[i].Body.(sale.Buy); !ok {
				continue
			}
			from := sale.Offset(rapid.IntRange(0, i).Draw(t, "from"))
			state, _, err := audittest.Snapshot{Entries: entries, At: from}.Newest(event.TopicID{}, 0, 0, from)
			if err != nil {
				t.Fatal(err)
			}
			e := newExplaining(0, &entries[i])
			err = h.ReplayFrom(t.Context(), audit.Extent{To: sale.Offset(len(entries))}, state, shelfWatch{e, t})
			if err != nil && !errors.Is(err, errTold) {
				t.Fatal(err)
			}
		}
	})
}

// TestShelfFollowsGoldenLogs is the same over the golden logs.
func TestShelfFollowsGoldenLogs(t *testing.T) {
	t.Parallel()
	for name, path := range audittest.Files(t, audittest.Golden, "testdata/stories") {
		entries := audittest.File(t, path)
		h := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
		for i := range entries {
			if _, ok := entries[i].Record().Body.(sale.Buy); !ok {
				continue
			}
			w := shelfWatch{newExplaining(0, &entries[i]), t}
			err := h.ReplayFrom(t.Context(), audit.Extent{To: sale.Offset(len(entries))}, audit.Beginning(), w)
			if err != nil && !errors.Is(err, errTold) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// TestFromSnapshots shows that a story is the same from a snapshot on,
// and less where the log has lost the sale's beginning.
func TestFromSnapshots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := audittest.Decide(saletest.Log(t))
		entries := saletest.Entries(n.Records)
		var buys []int
		for i := range n.Records {
			if _, ok := n.Records[i].Body.(sale.Buy); ok {
				buys = append(buys, i)
			}
		}
		if len(buys) == 0 {
			return
		}
		offset := sale.Offset(rapid.SampledFrom(buys).Draw(t, "request"))
		whole := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}}}
		want, err := Request(t.Context(), whole, 0, offset)
		if err != nil {
			t.Fatal(err)
		}
		at := sale.Offset(rapid.IntRange(0, int(offset)).Draw(t, "snapshot"))
		kept, err := Request(t.Context(), &audit.History{Log: whole.Log, Snapshots: audittest.Snapshot{Entries: entries, At: at}}, 0, offset)
		if diff := cmp.Diff(want, kept); err != nil || diff != "" {
			t.Fatalf("with a snapshot at %d beside the whole log (-without +with): %v\n%s", at, err, diff)
		}
		short := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Start: at}, Snapshots: audittest.Snapshot{Entries: entries, At: at}}
		got, err := Request(t.Context(), short, 0, offset)
		if err != nil {
			t.Fatal(err)
		}
		if want.First != nil && want.First.Offset < at {
			want.First = nil // it is not in the log any more
		}
		for w, g := want, got; w != nil; w, g = w.First, g.First {
			if g.From != 0 && g.LastUnit == nil {
				w.LastUnit = nil
			}
			w.From = g.From
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %d on (-whole +short):\n%s", at, diff)
		}
	})
}
