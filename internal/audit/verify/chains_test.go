package verify_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// place is where a difference has to be found.
type place struct {
	offset  sale.Offset
	subject verify.Subject
	name    string
	count   int64 // of differences; 0: any
}

func (p place) check(t fataler, v verify.Verdict) {
	t.Helper()
	found := v.FirstDifference
	if found == nil || found.Offset != p.offset || found.Subject != p.subject || found.Name != p.name {
		t.Fatalf("found %v, want a %s %s at offset %d", found, p.subject, p.name, p.offset)
	}
	if p.count != 0 && v.Differences != p.count {
		t.Fatalf("found %d differences, the first %v, want %d", v.Differences, found, p.count)
	}
}

func nameOf(b audit.BatchRow) string { return fmt.Sprintf("[%d, %d)", b.From, b.To) }

// TestBatchesAreLocated changes one row of batches: just that one is found.
func TestBatchesAreLocated(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		l := r.ledger.copied()
		if len(l.batches[0]) == 0 {
			t.Skip("there is none")
		}
		at := rapid.IntRange(0, len(l.batches[0])-1).Draw(t, "batch")
		row := &l.batches[0][at]
		want := place{offset: row.From, subject: verify.OfBatch, name: nameOf(*row), count: 1}
		switch how := rapid.SampledFrom([]string{"removed", "among", "beyond", "mark", "marks", "records", "decisions", "longer"}).Draw(t, "how"); how {
		case "removed":
			want.name = ""
			l.batches[0] = slices.Delete(l.batches[0], at, at+1)
		case "among":
			if row.To-row.From < 2 {
				t.Skip("nothing begins in its midst")
			}
			other := audit.BatchRow{From: row.From + 1, To: row.To, Marks: row.Marks[event.MarkBytes:]}
			want.offset, want.name = other.From, nameOf(other)
			l.batches[0] = slices.Insert(l.batches[0], at+1, other)
		case "beyond":
			other := audit.BatchRow{From: r.end, To: r.end + 1, Marks: make([]byte, event.MarkBytes)}
			want.offset, want.name = other.From, nameOf(other)
			l.batches[0] = append(l.batches[0], other)
		case "mark":
			row.Marks[rapid.IntRange(0, len(row.Marks)-1).Draw(t, "byte")] ^= 1
		case "marks":
			if row.Marks = row.Marks[1:]; len(row.Marks) == 0 {
				t.Skip("a batch may be without marks")
			}
		case "records":
			row.RecordChain[31] ^= 1
		case "decisions":
			row.DecisionChain[31] ^= 1
		case "longer":
			row = &l.batches[0][len(l.batches[0])-1]
			row.To, row.Marks = row.To+1, append(row.Marks, 1, 2, 3, 4)
			want.offset, want.name = row.From, nameOf(*row)
		}
		want.check(t, verdictOf(t, r.entries, l))
	})
}

// TestBatchesWithoutMarks are as good, but for the place of another record: a
// rebuilt ledger has one for all that came before.
func TestBatchesWithoutMarks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		if r.upgraded == r.end {
			t.Skip("nothing is chained")
		}
		l := r.ledger.copied()
		for i := range l.batches[0] {
			if rapid.Bool().Draw(t, "without") {
				l.batches[0][i].Marks = nil
			}
		}
		if found := verdictOf(t, r.entries, l).FirstDifference; found != nil {
			t.Fatalf("found %v", found)
		}
		at := sale.Offset(rapid.IntRange(int(r.upgraded), int(r.end)-1).Draw(t, "at"))
		tampered := slices.Clone(r.entries)
		tampered[at].Time++
		want := place{offset: at, subject: verify.OfRecord}
		in := slices.IndexFunc(l.batches[0], func(b audit.BatchRow) bool { return b.To > at })
		if batch := l.batches[0][in]; len(batch.Marks) == 0 {
			want.offset, want.name = batch.From, nameOf(batch)
		}
		want.check(t, verdictOf(t, tampered, l))
	})
}

// TestOtherDecisionsAreLocated: the same records, which were decided in another
// way from one on, are told apart from other records. The log may end since.
func TestOtherDecisionsAreLocated(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		l := r.ledger.copied()
		if len(l.batches[0]) == 0 {
			t.Skip("there is no batch")
		}
		at := rapid.IntRange(0, len(l.batches[0])-1).Draw(t, "from batch")
		for i := at; i < len(l.batches[0]); i++ {
			l.batches[0][i].DecisionChain[0] ^= byte(i + 1)
		}
		l.partitions[0].DecisionChain = l.batches[0][len(l.batches[0])-1].DecisionChain
		batch := l.batches[0][at]
		want := place{offset: batch.From, subject: verify.OfDecisions, name: nameOf(batch), count: 2} // the other is the partition's
		entries := r.entries
		if batch.To < r.end && rapid.Bool().Draw(t, "cut off") {
			entries = entries[:rapid.IntRange(int(batch.To), int(r.end)-1).Draw(t, "end")]
		}
		want.check(t, verdictOf(t, entries, l))
	})
}

// TestTamperingBeforeTheLogBreaksOff: a record that is another one is found
// where it is, though the log cannot be replayed to its end.
func TestTamperingBeforeTheLogBreaksOff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		if r.upgraded == r.end {
			t.Skip("nothing is chained")
		}
		tampered := slices.Clone(r.entries)
		first := rapid.IntRange(int(r.upgraded), int(r.end)-1).Draw(t, "first")
		if rapid.Bool().Draw(t, "another before") {
			tampered[first].Time++
		}
		breaks := rapid.IntRange(first, int(r.end)-1).Draw(t, "breaks")
		switch how := rapid.SampledFrom([]string{"unknown", "missing", "cut off"}).Draw(t, "how"); {
		case how == "unknown":
			tampered[breaks].Key, tampered[breaks].Value = nil, fmt.Appendf(nil, `{"type":"schema","version":%d}`, sale.NewestSchema+1)
		case how == "missing" && breaks+1 < len(tampered):
			tampered = slices.Delete(tampered, breaks, breaks+1)
		default:
			tampered = tampered[:breaks]
		}
		at := slices.IndexFunc(r.entries, func(e event.Entry) bool {
			return int(e.Offset) >= len(tampered) || tampered[e.Offset].Offset != e.Offset || !same(tampered[e.Offset], e)
		})
		l := r.ledger.copied()
		for i := range l.batches[0] {
			if l.batches[0][i].From > sale.Offset(at) && rapid.Bool().Draw(t, "without marks") {
				l.batches[0][i].Marks = nil
			}
		}
		place{offset: sale.Offset(at), subject: verify.OfRecord}.check(t, verdictOf(t, tampered, l))
	})
}

// TestTheFirstOfTwoDifferences is the one of the earlier record, whichever is
// met first.
func TestTheFirstOfTwoDifferences(t *testing.T) {
	t.Parallel()
	entries := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	end := sale.Offset(len(entries))
	ledger := fold(t, entries, end, func(i int) bool { return i%2 == 1 })
	var early, late *sale.Request
	for _, row := range ledger.requests[0] {
		if !row.State.Final() && (early == nil || row.Cause < early.Cause) {
			early = &row
		}
		if late == nil || row.Cause > late.Cause {
			late = &row
		}
	}
	if early == nil || early.Cause >= late.Cause {
		t.Fatal("the log has no such rows")
	}
	l := ledger.copied()
	delete(l.requests[0], early.Offset) // which is known at the end
	changed := *late
	changed.Quantity++
	l.requests[0][late.Offset] = changed
	place{offset: early.Cause, subject: verify.OfRequest, name: publicID(early.Offset), count: 2}.check(t, verdictOf(t, entries, l))
}

// TestDifferencesTellWhatDiffers, and nothing else of the row.
func TestDifferencesTellWhatDiffers(t *testing.T) {
	t.Parallel()
	entries := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	ledger := fold(t, entries, sale.Offset(len(entries)), func(int) bool { return true })
	for id, row := range ledger.sales[0] {
		l := ledger.copied()
		changed := row
		changed.HoldSeconds += 7
		l.sales[0][id] = changed
		found := verdictOf(t, entries, l).FirstDifference
		if found == nil || found.Expected != fmt.Sprintf("hold_seconds=%d", row.HoldSeconds) || found.Found != fmt.Sprintf("hold_seconds=%d", changed.HoldSeconds) {
			t.Errorf("found %v", found)
		}
	}
}

// TestARowDecidedAgainByOneRecord: of what one record decided of a request, the
// last is in its row, among however many others.
func TestARowDecidedAgainByOneRecord(t *testing.T) {
	t.Parallel()
	const units = 40
	var records []sale.Record
	add := func(at sale.Time, product sale.Product, body sale.Body) {
		records = append(records, sale.Record{Offset: sale.Offset(len(records)), Time: at, Product: product, Body: body})
	}
	add(1000, "", sale.Schema{Version: sale.NewestSchema})
	add(1000, "ring", sale.Create{Rules: sale.NewestRules, BuyerKey: "k", Later: true, Settings: sale.Settings{
		Quantity: units, HoldSeconds: 10, MaxHoldSeconds: 10, PerBuyerLimit: 1, MaxQuantityPerRequest: 1,
		Policy: sale.PolicyWaitlist, WaitlistCapacity: units, AdmitPerSecond: units,
	}})
	for i := range 2 * units {
		add(1000, "ring", sale.Buy{Sale: 1, Buyer: sale.Buyer(fmt.Sprint("buyer-", i)), Quantity: 1})
	}
	add(2000, "", sale.Tick{})                                     // the first half get their windows
	add(2001, "", sale.Tick{Committed: sale.Offset(len(records))}) // which begin
	add(13_000, "", sale.Tick{})                                   // and end: the others take their turns, and get theirs
	entries := saletest.Entries(records)
	core := sale.New()
	var changes sale.Changes
	for _, r := range records {
		changes.Reset()
		if err := core.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
	}
	times := make(map[sale.Offset]int)
	for _, d := range changes.Decisions {
		times[d.Request.Offset]++
	}
	if times[2+units] != 2 || len(changes.Decisions) != 3*units {
		t.Fatalf("the last record decided %d times of the others, %d in all", times[2+units], len(changes.Decisions))
	}
	verdict := verdictOf(t, entries, fold(t, entries, sale.Offset(len(entries)), func(i int) bool { return i%7 == 0 }))
	if !verdict.Equal {
		t.Errorf("found %v", verdict.FirstDifference)
	}
}

// TestTwoBatchesAreBothFound where the chain was right between them, and other
// decisions are told from a row that was changed before.
func TestTwoBatchesAreBothFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		l := r.ledger.copied()
		batches := l.batches[0]
		if len(batches) < 3 {
			t.Skip("they are not apart")
		}
		first := rapid.IntRange(0, len(batches)-3).Draw(t, "first")
		second := rapid.IntRange(first+2, len(batches)-1).Draw(t, "second")
		want := place{offset: batches[first].From, subject: verify.OfBatch, name: nameOf(batches[first]), count: 2}
		switch rapid.SampledFrom([]string{"records", "decisions", "decisions from there on"}).Draw(t, "how") {
		case "records":
			batches[first].RecordChain[3] ^= 1
			batches[second].RecordChain[3] ^= 1
		case "decisions":
			batches[first].DecisionChain[3] ^= 1
			batches[second].DecisionChain[3] ^= 1
		case "decisions from there on":
			batches[first].DecisionChain[3] ^= 1
			for i := second; i < len(batches); i++ {
				batches[i].DecisionChain[3] ^= byte(i + 1)
			}
			l.partitions[0].DecisionChain = batches[len(batches)-1].DecisionChain
			want.count = 3
		}
		want.check(t, verdictOf(t, r.entries, l))
	})
}
