package whatif

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// ErrNoSale means that the log has no such sale.
var ErrNoSale = errors.New("no such sale")

// LatestSale finds a product's latest sale. It replays all partitions, as it is
// not in the log which one is the product's.
func LatestSale(ctx context.Context, h *audit.History, product sale.Product) (partition int32, id sale.Offset, err error) {
	extents, err := h.Ends(ctx)
	if err != nil {
		return 0, 0, err
	}
	found := &lookout{product: product, id: sale.None}
	if err := h.Replay(ctx, extents, func(audit.Extent) audit.Visitor { return found }); err != nil {
		return 0, 0, err
	}
	if found.id == sale.None {
		return 0, 0, fmt.Errorf("product %q has no sale in the log: %w", product, ErrNoSale)
	}
	return found.partition, found.id, nil
}

// lookout is a visitor that looks out for a product's sales.
type lookout struct {
	product   sale.Product
	partition int32
	id        sale.Offset // the latest; None: none as yet
}

// Begin implements [audit.Visitor].
func (l *lookout) Begin(r *audit.Replay) error {
	if r.Core().Next() > 0 {
		l.note(r, r.Core().Snapshot().Sales)
	}
	return nil
}

// Step implements [audit.Visitor].
func (l *lookout) Step(r *audit.Replay, s audit.Step) error {
	if _, ok := s.Record.Body.(sale.Create); ok {
		l.note(r, r.Changed())
	}
	return nil
}

// End implements [audit.Visitor].
func (l *lookout) End(*audit.Replay) error { return nil }

func (l *lookout) note(r *audit.Replay, sales []sale.Sale) {
	for i := range sales {
		if sales[i].Product == l.product {
			l.partition, l.id = r.Partition(), max(l.id, sales[i].ID)
		}
	}
}

// Compare replays a sale as it was and, record for record beside it, as it would
// have been if it had been created with other settings. Its error wraps
// [sale.ErrInvalidSettings] where no sale can have those, and [ErrNoSale] where
// the record at the offset made no sale.
func Compare(ctx context.Context, h *audit.History, partition int32, id sale.Offset, change sale.Change) (*Comparison, error) {
	created, err := h.Entry(ctx, partition, id)
	switch {
	case errors.Is(err, audit.ErrNotThere):
		return nil, fmt.Errorf("%w: %w", err, ErrNoSale)
	case err != nil:
		return nil, err
	}
	c := &comparing{
		id: id, product: sale.Product(created.Key), change: change, pairs: make(map[sale.Offset]*pair),
		result: Comparison{Sale: ticket.PublicID(partition, int64(id)), Product: sale.Product(created.Key), First: []Difference{}},
	}
	extents, err := h.Ends(ctx, partition)
	if err != nil {
		return nil, err
	}
	extents[0].From = id
	if err := h.Replay(ctx, extents, func(audit.Extent) audit.Visitor { return c }); err != nil {
		return nil, err
	}
	return &c.result, nil
}

// alter gives a sale's creation with other settings, and what there is to say
// about that.
func alter(body sale.Create, change sale.Change) (sale.Create, []string, error) {
	was := body.Settings
	body.Settings = change.Of(was)
	s := &body.Settings
	var notes []string
	if body.Rules == sale.FirstRules && *s != (firstSettings(*s)) {
		body.Rules = sale.NewestRules
		if s.MaxHoldSeconds == 0 && change.MaxHoldSeconds == nil {
			s.MaxHoldSeconds = s.HoldSeconds // the first rules know no extension
		}
		notes = append(notes, fmt.Sprintf("The sale has rules %d, which do not know these settings: rules %d are taken instead.", sale.FirstRules, sale.NewestRules))
	}
	if s.Policy == sale.PolicyWaitlist && was.Policy != sale.PolicyWaitlist && was.WaitlistCapacity == 0 && change.WaitlistCapacity == nil {
		s.WaitlistCapacity = max(s.Quantity, leastWaitlist)
		notes = append(notes, fmt.Sprintf("The sale had no waitlist: one with %d places is taken, as a new sale has it.", s.WaitlistCapacity))
	}
	body.Later = *s != firstSettings(*s) || s.Policy != sale.PolicyQueue
	checked := *s
	if body.Rules == sale.FirstRules {
		checked.MaxHoldSeconds = checked.HoldSeconds
	}
	if err := checked.Validate(); err != nil {
		return sale.Create{}, nil, fmt.Errorf("the sale cannot be made with these settings: %w", err)
	}
	return body, notes, nil
}

// leastWaitlist is the least that a new sale's waitlist takes if nothing else
// is said.
const leastWaitlist = 10

// firstSettings gives what sales of the first rules know of settings.
func firstSettings(s sale.Settings) sale.Settings {
	return sale.Settings{
		Quantity: s.Quantity, HoldSeconds: s.HoldSeconds, PerBuyerLimit: s.PerBuyerLimit,
		MaxQuantityPerRequest: s.MaxQuantityPerRequest, Policy: sale.PolicyQueue,
	}
}

// cannotKnow says what the log cannot tell of what did not happen.
func cannotKnow(was, would sale.Policy) []string {
	unknown := []string{
		"Confirmations and releases in the log were made by those who had a hold in reality. Whoever gets a unit only with the other settings never confirms it: that hold runs out.",
		"Nobody behaves otherwise: a shopper who left, or came, because of what they were told does so still.",
		"Later changes of the sale (sale.update) act on both, as what they set is absolute; one that expects another version of the sale than it then has is refused.",
	}
	if was == sale.PolicyReject {
		unknown = append(unknown, "The door of a sale with policy reject turned people away, and they left no record: who they were, and how many, the log does not know.")
	}
	if was != sale.PolicyReject && would == sale.PolicyReject {
		unknown = append(unknown, "With policy reject the door would have turned people away before they reached the log: here they are decided from the log, as if it had let them all in.")
	}
	return unknown
}
