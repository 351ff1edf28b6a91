package rebuild

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// publishing finds out from where on decisions are to be published. Whatever
// comes before a decision that is published is published as well. Of that
// decision's record it may be that others are not, so it is the first whose
// decisions are published, perhaps once more.
//
// Readers leave out what is not above the last (cause, index) that they saw. So
// that record's decisions are a batch of their own: a run of defaults that began
// with one of them would be left out as a whole. And its sales come in the order
// in which they were published.
func (c Config) publishing(ctx context.Context, f *filling) error {
	if c.Published == nil {
		return nil
	}
	last, err := c.Published.Last(ctx, f.Partition)
	if err != nil {
		return fmt.Errorf("asking which decisions of partition %d are published: %w", f.Partition, err)
	}
	last = slices.DeleteFunc(last, func(d *event.Decision) bool { return d.Log != f.topic.String() }) // of an earlier log
	f.Publishes = 0
	for _, d := range last {
		f.Publishes = max(f.Publishes, d.Cause)
	}
	f.standings = make(map[sale.Offset]event.Standing)
	return f.hear(last)
}

// hear notes where sales were last said to stand, before the record whose
// decisions are published again, and which were told of with it.
func (f *filling) hear(last []*event.Decision) error {
	f.announced = make(map[sale.Offset]event.Standing)
	latest := make(map[sale.Offset]*event.Decision)
	for _, d := range last {
		if d.Snapshot == nil {
			continue
		}
		_, id, err := ticket.ParsePublicID(d.Snapshot.Sale)
		if err != nil {
			return fmt.Errorf("decision %s on the topic of decisions names the sale %q: %w", d.ID, d.Snapshot.Sale, err)
		}
		of := sale.Sale{Stage: d.Snapshot.State, OpenedAt: sale.Time(d.Snapshot.OpenedAt)}
		of.Available = d.Snapshot.Available
		if of.ID = sale.Offset(id); d.Cause == f.Publishes {
			f.told = append(f.told, of.ID)
			continue
		}
		// A former owner may have repeated what it published before.
		if was := latest[of.ID]; was == nil || was.Cause < d.Cause {
			latest[of.ID] = d
			f.announced[of.ID] = event.StandingOf(&of)
		}
	}
	return nil
}

// toldAs is a sale's place among those that were published at the record whose
// decisions are published again.
func (f *filling) toldAs(of sale.Offset) int {
	if at := slices.Index(f.told, of); at >= 0 {
		return at
	}
	return len(f.told)
}

// ownersRecords is more than an owner's batch has. A sale is told as it is after
// a batch, at the record that changed it last. So a change that came earlier,
// before a decision that is published, need not have been told, unless it is
// further away than this.
const ownersRecords = 100_000

// stand notes where a sale stands, if that is told by now.
func (f *filling) stand(s *sale.Sale) {
	if f.standings != nil && (s.Revision >= f.Publishes || s.Revision < f.Publishes-ownersRecords) {
		f.standings[s.ID] = event.StandingOf(s)
	}
}

// encode writes the batch's decisions, if they are to be published. A sale's
// steps are counted from where it was last said to stand, or from where that
// must have been said: rather is a step told twice than not at all.
func (f *filling) encode() error {
	if f.standings == nil {
		return nil
	}
	defer func() {
		for i := range f.batch.Sales {
			f.stand(&f.batch.Sales[i].Sale)
		}
	}()
	if f.batch.From < f.Publishes || f.batch.To == f.batch.From {
		return nil
	}
	sales := f.batch.Sales
	if f.batch.From == f.Publishes {
		sales = slices.Clone(sales)
		slices.SortStableFunc(sales, func(a, b Sale) int { return cmp.Compare(f.toldAs(a.Sale.ID), f.toldAs(b.Sale.ID)) })
	}
	decided := event.NewDecisionBatch()
	for i := range sales {
		of := &sales[i].Sale
		was, known := f.announced[of.ID]
		if !known {
			was = f.standings[of.ID]
		}
		delete(f.announced, of.ID)
		decided.AddSale(*of, was)
	}
	for i := range f.decisions {
		decided.Add(&f.decisions[i])
	}
	if decided.Empty() {
		return nil
	}
	var err error
	f.batch.Decisions, err = decided.Encode(f.topic, f.Partition, f.batch.Now)
	return err
}
