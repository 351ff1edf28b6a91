package ingress

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// status is what a shopper or a merchant is shown of a request.
type status struct {
	Ticket      string      `json:"ticket,omitempty"`
	ID          string      `json:"id"`
	Product     string      `json:"product"`
	Quantity    int64       `json:"quantity"`
	State       sale.State  `json:"state"`
	Position    *int64      `json:"position,omitempty"`
	ETASeconds  *int64      `json:"eta_seconds,omitempty"` // until its turn, estimated; where it is known
	Reason      sale.Reason `json:"reason,omitempty"`
	ExpiresAt   string      `json:"expires_at,omitempty"` // of a hold that runs
	CheckoutURL string      `json:"checkout_url,omitempty"`
	RequestedAt string      `json:"requested_at"`
	DecidedAt   string      `json:"decided_at,omitempty"` // where it is known
	ServerTime  string      `json:"server_time"`
	PollAfter   int64       `json:"poll_after_ms"` // 0: there is nothing more to come
}

// shown is a status with what a client needs to be shown the next one.
type shown struct {
	status      status
	scope       string      // of its marker: the ticket that was asked with
	watermark   sale.Offset // the highest that its client has seen
	fingerprint string
	moves       bool // it has a place that changes with those before it
}

// claim is a verified ticket with its text.
type claim struct {
	ticket.Ticket
	text string
}

// claimOf reads a ticket. Whatever is not a ticket of this log is unknown.
func (i *Ingress) claimOf(text string) (claim, error) {
	of, err := i.tickets.Verify(text)
	if err != nil || of.Log != i.logID || of.Partition >= i.topic.Partitions() {
		return claim{}, refuse(unknownTicket, "")
	}
	return claim{of, text}, nil
}

// lookup asks the board, and the ledger behind it for a bounded time.
func (i *Ingress) lookup(ctx context.Context, partition int32, of, offset sale.Offset) (board.View, error) {
	if view, ok := i.board.Recall(partition, of, offset); ok {
		return view, nil
	}
	bounded, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	return i.board.Lookup(bounded, partition, of, offset)
}

// catchUp brings the board to what a client has seen elsewhere, if that takes
// no longer than it may. board.ErrBehind means that the ledger is not there
// either. Who goes on after an error leaves out what may be behind the client:
// see show.
func (i *Ingress) catchUp(ctx context.Context, partition int32, seen sale.Offset) error {
	if i.board.Watermark(partition) >= seen {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	return i.board.CatchUp(bounded, partition, seen)
}

// show gives what a client that has seen a marker is to be shown of its
// request. A board that is behind the marker knows less than the client: the
// position that it would show may be higher than one that was shown.
func (i *Ingress) show(ctx context.Context, of *claim, seen marker) (shown, error) {
	view, err := i.lookup(ctx, of.Partition, sale.Offset(of.Sale), sale.Offset(of.Offset))
	if err != nil {
		return shown{}, i.unreadable(err)
	}
	if view.Watermark < seen.watermark {
		view.Position, view.ETA = board.NoPosition, board.NoETA
	}
	s, err := i.statusOf(of, view)
	if err != nil {
		return shown{}, err
	}
	return shown{
		status: s, scope: of.text, watermark: max(view.Watermark, seen.watermark), fingerprint: fingerprintOf(&s),
		moves: moves(&view),
	}, nil
}

// unseen is what is shown of a request that is in the log while the board
// cannot say more.
func (i *Ingress) unseen(of *claim) shown {
	s, _ := i.statusOf(of, board.View{
		Partition: of.Partition, Offset: sale.Offset(of.Offset), State: sale.Queued, Position: board.NoPosition, ETA: board.NoETA,
	}) // it signs nothing, so it does not fail
	return shown{status: s, scope: of.text, fingerprint: fingerprintOf(&s)}
}

// unreadable answers a request that the board cannot tell of.
func (i *Ingress) unreadable(err error) error {
	i.log.Debug("a request cannot be looked up", "error", err)
	return cannotTell("what became of the request cannot be read now")
}

// statusOf words a view of a claim's request. A duplicate's view is the first
// one's, and so are its ticket and terms then.
func (i *Ingress) statusOf(of *claim, view board.View) (status, error) {
	now := time.Now()
	s := status{
		Ticket: of.text, ID: of.PublicID(), Product: of.Product, Quantity: int64(of.Quantity),
		State: view.State, Reason: view.Reason, PollAfter: pollAfter(&view),
	}
	s.RequestedAt, s.ServerTime = timestamps(sale.Time(of.AcceptedAt), sale.Time(now.UnixMilli()))
	if view.Offset != sale.Offset(of.Offset) {
		first := ticket.Ticket{
			Log: i.logID, Partition: view.Partition, Offset: int64(view.Offset), Sale: int64(view.Sale),
			Product: string(view.Product), Quantity: int(view.Quantity), AcceptedAt: int64(view.AcceptedAt),
		}
		text, err := i.tickets.Sign(first)
		if err != nil {
			return status{}, fmt.Errorf("making the first request's ticket: %w", err)
		}
		s.Ticket, s.ID, s.Quantity = text, first.PublicID(), view.Quantity
		s.RequestedAt = timestamp(view.AcceptedAt)
	}
	if view.Position != board.NoPosition {
		position := view.Position // the view itself need not outlive this
		s.Position = &position
	}
	if view.ETA != board.NoETA {
		seconds := int64((view.ETA + time.Second - 1) / time.Second)
		s.ETASeconds = &seconds
	}
	if view.ExpiresAt > 0 {
		s.ExpiresAt = timestamp(view.ExpiresAt)
	}
	if view.HasRow && !parked(&view) {
		s.DecidedAt = timestamp(view.DecidedAt)
	}
	var err error
	s.CheckoutURL, err = i.checkoutURL(&view, now)
	return s, err
}

// parked reports whether a pause keeps the request undecided.
func parked(view *board.View) bool { return view.State == sale.Queued && view.HasRow }

// moves reports whether the request has a place that changes with those before
// it, also where it is not known.
func moves(view *board.View) bool {
	switch view.State {
	case sale.Queued:
		return !parked(view)
	case sale.Waitlisted, sale.Reserved:
		return true
	case sale.Held, sale.Confirmed, sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned:
	}
	return false
}
