package ingress

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// longestRetry bounds how far ahead a refused click is asked to come again.
const longestRetry = time.Minute

// turnedAway is the refusal of a new request for so many units by what the log
// has decided about the sale, or nil. It follows the board and asks nobody; the
// clock only says when to come again.
func turnedAway(of *board.SaleView, quantity int64) *problem {
	if of.Stage == sale.StagePaused {
		// The core would keep the request. A line that stands still for nobody
		// knows how long serves a shopper less than an answer.
		return &problem{refusal: paused, retryAfter: 5*time.Second + rand.N(5*time.Second)}
	}
	reason, final := of.Refuses(quantity)
	switch {
	case reason == "":
		return nil
	case reason == sale.ReasonNotOpen:
		return &problem{refusal: notOpen, retryAfter: untilOpening(of.OpensAt, time.Now()), opensAt: of.OpensAt}
	case reason == sale.ReasonClosed:
		return &problem{refusal: over}
	case final:
		return &problem{refusal: soldOutForGood}
	}
	return comesBack("")
}

// comesBack says that no unit is left while one may come back.
func comesBack(detail string) *problem {
	return &problem{refusal: soldOut, detail: detail, retryAfter: 2*time.Second + rand.N(3*time.Second)}
}

// untilOpening is when a click that came before the opening should come again.
func untilOpening(opens sale.Time, now time.Time) time.Duration {
	left := time.UnixMilli(int64(opens)).Sub(now)
	if left >= longestRetry {
		return longestRetry - rand.N(longestRetry/4)
	}
	return min(max(left, 0)+time.Second+rand.N(2*time.Second), longestRetry)
}

// earlier answers a click that is turned away: with the request that its buyer
// has, if this ingress remembers one that is live or bought, else with the
// refusal. One that another ingress took is not found here; its buyer has the
// ticket.
func (i *Ingress) earlier(ctx context.Context, k *click, refusal *problem) (Hint, error) {
	var hint Hint
	var known bool
	if f := i.flights.find(k.key, k.ask.Buyer); f != nil {
		w := i.flights.wait(time.Now())
		defer i.flights.spare(w)
		if err := w.until(ctx, f.joined); err != nil {
			return Hint{}, err
		}
		switch {
		case errors.Is(f.refusal, errAbandoned):
			return Hint{}, refusal
		case f.refusal != nil:
			return Hint{}, f.refusal
		}
		hint, known = f.hint, true
	} else {
		hint, known = i.recent.find(k.key, k.ask.Buyer)
	}
	if !known {
		return Hint{}, refusal
	}
	found, err := i.stands(ctx, k, hint)
	switch {
	case errors.Is(err, errAbandoned):
		return Hint{}, cannotTell(clientLeft)
	case err != nil:
		return Hint{}, err
	case found == nil:
		i.recent.drop(k.key)
		return Hint{}, refusal
	}
	i.recent.put(k.key, k.ask.Buyer, *found)
	return *found, k.sameQuantity(*found)
}
