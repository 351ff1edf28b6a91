package fairness

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// The report once more, as slow and simple as its definitions read: it keeps
// everything, and looks through all of it for each number.

// naiveEvent is a decision of a request, and its place among all decisions.
type naiveEvent struct {
	seq, step int
	decision  sale.Decision
}

type naiveRequest struct {
	offset   sale.Offset
	quantity int64
	buy      sale.Buy
	record   sale.Record
	logged   sale.Time
	events   []naiveEvent // those that changed its state
}

type naiveSale struct {
	steps    []step
	id       sale.Offset
	requests []*naiveRequest
	starts   []naiveEvent
	after    []*sale.Sale // each step; nil before there is one
}

func naively(steps []step, id sale.Offset) *naiveSale {
	n := &naiveSale{steps: steps, id: id}
	byOffset := map[sale.Offset]*naiveRequest{}
	seq := 0
	var latest *sale.Sale
	for i := range steps {
		for _, d := range steps[i].decisions {
			seq++
			switch {
			case d.Kind == sale.OfStart:
				n.starts = append(n.starts, naiveEvent{seq, i, d})
				continue
			case d.Kind != sale.OfRequest || d.Request.Sale != id:
				continue
			}
			r := byOffset[d.Request.Offset]
			if r == nil {
				buy := steps[i].record.Body.(sale.Buy)
				r = &naiveRequest{offset: d.Request.Offset, quantity: buy.Quantity, buy: buy, record: steps[i].record, logged: d.Time}
				byOffset[r.offset] = r
				n.requests = append(n.requests, r)
			}
			if last := len(r.events) - 1; last < 0 || r.events[last].decision.Request.State != d.Request.State {
				r.events = append(r.events, naiveEvent{seq, i, d})
			}
		}
		for j := range steps[i].changed {
			if steps[i].changed[j].ID == id {
				latest = &steps[i].changed[j]
			}
		}
		n.after = append(n.after, latest)
	}
	slices.SortFunc(n.requests, func(a, b *naiveRequest) int { return cmp.Compare(a.offset, b.offset) })
	return n
}

// at gives a request's state, and why, just before a decision.
func (r *naiveRequest) at(seq int) (state sale.State, reason sale.Reason) {
	for _, e := range r.events {
		if e.seq < seq {
			state, reason = e.decision.Request.State, e.decision.Request.Reason
		}
	}
	return state, reason
}

func (r *naiveRequest) first(states ...sale.State) *naiveEvent {
	for i := range r.events {
		if slices.Contains(states, r.events[i].decision.Request.State) {
			return &r.events[i]
		}
	}
	return nil
}

func (n *naiveSale) units(seq int, states ...sale.State) int64 {
	units := int64(0)
	for _, r := range n.requests {
		if state, _ := r.at(seq); slices.Contains(states, state) {
			units += r.quantity
		}
	}
	return units
}

func (n *naiveSale) order() Order {
	o := Order{Listed: []Inversion{}}
	var grants []*naiveEvent
	for _, r := range n.requests {
		if g := r.first(sale.Reserved, sale.Held); g != nil {
			grants = append(grants, g)
		}
	}
	slices.SortFunc(grants, func(a, b *naiveEvent) int { return cmp.Compare(a.seq, b.seq) })
	passed := map[sale.Offset]bool{}
	for _, g := range grants {
		o.Grants++
		d := g.decision
		var granted int64
		for _, r := range n.requests {
			if r.offset == d.Request.Offset {
				granted = r.quantity
			}
		}
		quantity := n.after[g.step].Quantity
		if before := n.after[g.step-1]; before != nil {
			quantity = min(quantity, before.Quantity)
		}
		served := max(granted, quantity-n.units(g.seq, sale.Confirmed))
		inversion := Inversion{Cause: d.Cause, Index: d.Index, Time: event.Instant(d.Time), Request: d.Request.Offset, Quantity: granted}
		toldEarlier, toldForNoMore := false, false
		for _, r := range n.requests {
			if r.offset >= d.Request.Offset {
				continue
			}
			state, reason := r.at(g.seq)
			switch {
			case state == sale.SoldOut && reason == sale.ReasonSoldOut:
				toldEarlier = true
				toldForNoMore = toldForNoMore || r.quantity <= granted
			case state != sale.Waitlisted && state != sale.Queued:
			case r.quantity > served:
				passed[r.offset] = true
			default:
				if inversion.PassedOver == 0 {
					inversion.Earlier, inversion.EarlierQuantity = r.offset, r.quantity
				}
				inversion.PassedOver++
			}
		}
		if toldEarlier {
			o.AfterSoldOut++
		}
		if toldForNoMore {
			o.AfterSoldOutForNoMore++
		}
		if inversion.PassedOver > 0 {
			o.Inversions++
			if o.Inversions <= 100 {
				o.Listed = append(o.Listed, inversion)
			}
		}
	}
	o.PassedOver = int64(len(passed))
	return o
}

// naiveTimes sorts all of them.
func naiveTimes(all []int64) Times {
	t := Times{Histogram: []Bin{}}
	var times []int64
	for _, ms := range all {
		if ms < 0 {
			t.Negative++
			continue
		}
		times = append(times, ms)
	}
	slices.Sort(times)
	t.Count = int64(len(times))
	if t.Count == 0 {
		return t
	}
	t.Max = times[len(times)-1]
	at := func(percent int) int64 {
		i := 0
		for (i+1)*100 < percent*len(times) {
			i++
		}
		ms, width := times[i], int64(1)
		for ms/width >= 2048 {
			width *= 2
		}
		return min(ms/width*width+width-1, t.Max)
	}
	t.P50, t.P90, t.P99 = at(50), at(90), at(99)
	for i, from := range binStarts {
		bin := Bin{From: from}
		if i+1 < len(binStarts) {
			bin.To = binStarts[i+1]
		}
		for _, ms := range times {
			if ms >= bin.From && (bin.To == 0 || ms < bin.To) {
				bin.Count++
			}
		}
		if bin.Count > 0 || len(t.Histogram) > 0 {
			t.Histogram = append(t.Histogram, bin)
		}
	}
	for t.Histogram[len(t.Histogram)-1].Count == 0 {
		t.Histogram = t.Histogram[:len(t.Histogram)-1]
	}
	return t
}

// start gives when a request's hold began to run.
func (n *naiveSale) start(r *naiveRequest) (at sale.Time, seq int, begun bool) {
	held := r.first(sale.Held)
	if held == nil {
		return 0, 0, false
	}
	for _, s := range n.starts {
		if state, _ := r.at(s.seq); state == sale.Held && s.decision.Start.Below > held.decision.Cause {
			return s.decision.Start.At, s.seq, true
		}
	}
	return 0, 0, false
}

func (n *naiveSale) waits() Waits {
	var click, unit, start, confirmation []int64
	for _, r := range n.requests {
		if r.record.Time < r.buy.AcceptedAt {
			click = append(click, -1)
		} else {
			click = append(click, int64(r.record.Time-r.buy.AcceptedAt))
		}
		if g := r.first(sale.Reserved, sale.Held); g != nil && g.decision.Cause != r.offset {
			unit = append(unit, int64(g.decision.Time-r.logged))
		}
		if at, _, begun := n.start(r); begun {
			start = append(start, int64(at-r.logged))
		}
		if c := r.first(sale.Confirmed); c != nil {
			confirmation = append(confirmation, int64(c.decision.Time-r.first(sale.Held).decision.Time))
		}
	}
	return Waits{naiveTimes(click), naiveTimes(unit), naiveTimes(start), naiveTimes(confirmation)}
}

func naiveUnits(quantity int64) int64 {
	if quantity < 1 || quantity > 1_000_000_000 {
		return 0
	}
	return quantity
}

func (n *naiveSale) outcomes(into *SaleReport) {
	into.Outcomes, into.Reasons = []Outcome{}, []Reason{}
	for _, r := range n.requests {
		into.Requests++
		into.Units += naiveUnits(r.quantity)
		for _, e := range r.events {
			reason, state := e.decision.Request.Reason, e.decision.Request.State
			if reason == "" {
				continue
			}
			if reason == sale.ReasonDuplicate {
				into.Duplicates++
			}
			i := slices.IndexFunc(into.Reasons, func(f Reason) bool { return f.Reason == reason && f.State == state })
			if i < 0 {
				i = len(into.Reasons)
				into.Reasons = append(into.Reasons, Reason{State: state, Reason: reason})
			}
			into.Reasons[i].Requests++
			into.Reasons[i].Units += naiveUnits(r.quantity)
		}
	}
	slices.SortFunc(into.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason))
	})
	for _, state := range outcomeOrder {
		o := Outcome{State: state}
		for _, r := range n.requests {
			if r.events[len(r.events)-1].decision.Request.State == state {
				o.Requests++
				o.Units += naiveUnits(r.quantity)
			}
		}
		if o.Requests > 0 {
			o.RequestShare = float64(o.Requests) / float64(into.Requests)
			if into.Units > 0 {
				o.UnitShare = float64(o.Units) / float64(into.Units)
			}
			into.Outcomes = append(into.Outcomes, o)
		}
	}
}

func (n *naiveSale) buyers() Buyers {
	b := Buyers{Distribution: []Buying{}}
	made := map[sale.Buyer]int64{}
	for _, r := range n.requests {
		made[r.buy.Buyer]++
		if made[r.buy.Buyer] > b.Most {
			b.Most, b.MostBy = made[r.buy.Buyer], r.buy.Buyer
		}
	}
	b.Buyers = int64(len(made))
	for requests := int64(1); requests <= b.Most; requests++ {
		buyers := int64(0)
		for _, many := range made {
			if many == requests {
				buyers++
			}
		}
		if buyers > 0 {
			b.Distribution = append(b.Distribution, Buying{requests, buyers})
		}
	}
	return b
}

func (n *naiveSale) report() SaleReport {
	first, end := naivelyFirst(n.after), n.after[len(n.after)-1]
	r := SaleReport{
		Sale: "0-" + strconv.FormatInt(int64(n.id), 10), Product: end.Product, Stage: end.Stage,
		CreatedAt: event.Instant(end.CreatedAt), OpenedAt: event.Instant(end.OpenedAt), ClosedAt: event.Instant(end.ClosedAt),
		Order: n.order(), Waits: n.waits(), Buyers: n.buyers(), Pauses: n.pauses(), Back: n.back(), Fill: n.fill(),
		Created: first.Settings, Settings: end.Settings,
	}
	n.outcomes(&r)
	return r
}
