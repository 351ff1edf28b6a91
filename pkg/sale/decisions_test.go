package sale_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

func TestDecisionsAreThoseOfTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, m := sale.New(), new(reference)
		malformed := int64(0)
		for _, r := range saletest.Log(t) {
			want := m.decide(r)
			var got []string
			for _, d := range apply(t, p, r) {
				got = append(got, told(d))
				if d.Request.Reason == sale.ReasonMalformed {
					malformed++
				}
			}
			if p.Malformed() != malformed {
				t.Fatalf("record %d: %d malformed records are counted, not %d", r.Offset, p.Malformed(), malformed)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("record %d %#v (-reference +core):\n%s", r.Offset, r, diff)
			}
			checkState(t, p, m)
		}
	})
}

// checkState compares all of the state, the end of every hold as a board
// computes it from rows and starts, and the next thing due with the reference.
func checkState(t *rapid.T, p *sale.Partition, m *reference) {
	t.Helper()
	snapshot := p.Snapshot()
	sales := salesByID(snapshot)
	if len(sales) != len(m.sales) {
		t.Fatalf("%d sales, not %d", len(sales), len(m.sales))
	}
	for _, s := range m.sales {
		got := sales[sale.Offset(s.id)]
		got.Revision, got.Pauses, got.Pace = 0, nil, sale.Pace{} // judged by what follows from them
		if want := m.standing(s); !reflect.DeepEqual(want, got) {
			t.Fatalf("after %d, at %d (-reference +core):\n%s", m.own, m.now, cmp.Diff(want, got))
		}
	}
	rows := map[sale.Offset]*sale.Request{}
	for i := range snapshot.Requests {
		rows[snapshot.Requests[i].Offset] = &snapshot.Requests[i]
	}
	oldest := sale.None
	for _, q := range m.requests {
		r := rows[sale.Offset(q.at)]
		if q.of.retired != 0 {
			if r != nil {
				t.Fatalf("request %d of a sale that has retired is kept as %s", q.at, r.State)
			}
			continue
		}
		switch q.state {
		case "sold_out", "rejected":
			if r != nil && r.First == sale.None {
				t.Fatalf("request %d is %s and kept as %s", q.at, q.state, r.State)
			}
		case "expired", "released", "returned":
			if r == nil || string(r.State) != q.state {
				t.Fatalf("request %d is %s, the core has %+v", q.at, q.state, r)
			}
		default:
			checkRow(t, q, r)
			end, begun := endOf(sales, snapshot.Starts, r)
			if want, runs := m.endOf(q); begun != runs || runs && int64(end) != want {
				t.Fatalf("request %d: the hold ends at %d, %t; want %d, %t", q.at, end, begun, want, runs)
			}
			if q.state == "held" && !q.begun && (oldest == sale.None || oldest > sale.Offset(q.since)) {
				oldest = sale.Offset(q.since)
			}
		}
	}
	want, wants := m.due()
	if due, ok := p.Due(); ok != wants || ok && max(int64(due), m.now) != want {
		t.Fatalf("at %d: due at %d, %t, want %d, %t", m.now, due, ok, want, wants)
	}
	if unstarted, ok := p.OldestUnstarted(); ok != (oldest != sale.None) || ok && unstarted != oldest {
		t.Fatalf("oldest unstarted %d, %t, want %d", unstarted, ok, oldest)
	}
}

func checkRow(t *rapid.T, q *referenceRequest, r *sale.Request) {
	t.Helper()
	if r == nil {
		t.Fatalf("request %d is %s, and not kept", q.at, q.state)
	}
	want := fmt.Sprint(q.of.id, q.product, q.buyer, q.quantity, q.state, q.granted, q.since, q.payment)
	if got := fmt.Sprint(r.Sale, r.Product, r.Buyer, r.Quantity, r.State, r.Granted, r.HeldSince, r.Payment); got != want {
		t.Fatalf("the row of request %d is %s, want %s", q.at, got, want)
	}
	lasts := int64(r.HoldFor)
	if lasts == 0 {
		lasts = q.of.terms.HoldSeconds * 1000
	}
	if q.state == "held" && lasts != q.lasts {
		t.Fatalf("the hold of request %d lasts %d, want %d", q.at, lasts, q.lasts)
	}
}

// standing gives what the public part of a sale's state is to be.
func (m *reference) standing(s *referenceSale) sale.Sale {
	of := sale.Sale{
		ID: sale.Offset(s.id), Product: sale.Product(s.product), Rules: s.rules, BuyerKey: s.key, Settings: s.terms,
		Stage: sale.Stage(s.stage), CreatedAt: sale.Time(s.created), Version: s.version, Available: m.free(s),
		OpenedAt: sale.Time(s.opened), ClosedAt: sale.Time(s.closed), RetiredAt: sale.Time(s.retired),
		Requests: s.asked, SoldOut: s.soldOut, Rejected: s.rejected, Defaults: s.defaults,
	}
	of.Reserved, _ = m.count(s, "reserved")
	of.Held, _ = m.count(s, "held")
	of.Confirmed, _ = m.count(s, "confirmed")
	_, of.Waitlisted = m.count(s, "waitlisted")
	_, of.Parked = m.count(s, "queued")
	return of
}

// endOf gives the end of a hold that runs.
func (m *reference) endOf(q *referenceRequest) (int64, bool) {
	return m.now + q.left, q.state == "held" && q.begun && q.of.stage != "paused"
}

func salesByID(snapshot sale.Snapshot) map[sale.Offset]sale.Sale {
	sales := make(map[sale.Offset]sale.Sale, len(snapshot.Sales))
	for _, s := range snapshot.Sales {
		sales[s.ID] = s
	}
	return sales
}

// endOf computes the end of a hold as a board does.
func endOf(sales map[sale.Offset]sale.Sale, starts sale.Starts, r *sale.Request) (sale.Time, bool) {
	of := sales[r.Sale]
	return of.EndOf(r, starts)
}

// told writes a decision of the core in the reference's form.
func told(d sale.Decision) string {
	switch d.Kind {
	case sale.OfRequest:
		line := fmt.Sprintf("request %d %s", d.Request.Offset, d.Request.State)
		if d.Request.Reason != "" && string(d.Request.Reason) != string(d.Request.State) {
			line += " " + string(d.Request.Reason)
		}
		if d.Request.First != sale.None {
			line += fmt.Sprintf(" of %d", d.Request.First)
		}
		return line
	case sale.OfCommand:
		return fmt.Sprintf("result %s sale %d request %d", d.Result.Code, d.Result.Sale, d.Result.Request)
	case sale.OfStart:
		return fmt.Sprintf("start below %d at %d", d.Start.Below, d.Start.At)
	}
	return fmt.Sprintf("a decision of unknown kind %d", d.Kind)
}
