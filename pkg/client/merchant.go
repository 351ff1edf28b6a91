package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The calls of merchants take a request by its public id, as in Claims.Request
// and Status.ID, or by its ticket. Commands are safe to repeat, and are
// repeated while their outcome is unknown. One that is in the log and not
// decided is waited for: the error is ErrUndecided where that takes longer
// than the context or the patience last, and the status is the last one seen.

// Hold gives a request as it is now. By public id it finds every hold;
// HasCode(err, "unknown_request") where there is none.
func (c *Client) Hold(ctx context.Context, request string) (Status, error) {
	status, _, err := repeat[Status](ctx, c, &call{
		method: http.MethodGet, path: []string{"v1", "holds", request}, token: c.merchant,
	})
	return status, err
}

// Confirm says that a hold is paid for: authorise the payment, confirm, then
// capture. The reference names the payment, in 1 to 128 visible ASCII
// characters. Confirming again with the same reference is a success.
//
// Capture only after a nil error. After one with the code hold_expired,
// not_held, other_payment or sale_retired the authorisation can be given back; after
// [ErrUnknown] or [ErrUndecided] the unit may be sold or not: confirm again
// with the same reference.
func (c *Client) Confirm(ctx context.Context, request, reference string) (Status, error) {
	return c.settle(ctx, request, "confirm", struct {
		PaymentReference string `json:"payment_reference"`
	}{reference})
}

// Extend lets a hold last for d from now at least, in whole seconds from 1 s to
// a week, rounded up, and as far as the sale's max_hold_seconds allow.
// HasCode(err, "hold_limit") where it lasts as long as it may already. One that
// has to be repeated counts from its repetition.
func (c *Client) Extend(ctx context.Context, request string, d time.Duration) (Status, error) {
	seconds := int64((d + time.Second - 1) / time.Second)
	if seconds < 1 {
		return Status{}, errors.New("client: a hold is extended by a second or more")
	}
	return c.settle(ctx, request, "extend", struct {
		Seconds int64 `json:"seconds"`
	}{seconds})
}

// Release gives a hold back: its units go to whoever is next.
func (c *Client) Release(ctx context.Context, request string) (Status, error) {
	return c.settle(ctx, request, "release", struct{}{})
}

// Return gives bought units back, after a refund. HasCode(err, "not_confirmed")
// where none were bought, and "sale_retired" where the sale closed so long ago,
// 30 days at least, that it takes nothing back.
func (c *Client) Return(ctx context.Context, request string) (Status, error) {
	return c.settle(ctx, request, "return", struct{}{})
}

// looksPerCommand is how many times a hold is looked at before an undecided
// command is sent once more: it may have been refused, and of that the hold
// shows nothing.
const looksPerCommand = 5

// settle sends a command until it is decided. After a 202 the hold tells when
// something has happened, and the same command, sent again, tells whether that
// was the command: looking costs the log nothing, and commands do nothing
// twice.
func (c *Client) settle(ctx context.Context, request, command string, body any) (Status, error) {
	k := &call{method: http.MethodPost, path: []string{"v1", "holds", request, command}, token: c.merchant, body: body}
	look := &call{method: http.MethodGet, path: []string{"v1", "holds", request}, token: c.merchant}
	patience := c.newPatience()
	var last Status
	for {
		status, a, err := once[Status](ctx, c, k)
		if err == nil && a.status != http.StatusAccepted {
			return status, nil
		}
		if err != nil {
			if _, again := repeatable(err); !again {
				return last, err
			}
			if err := patience.pause(ctx, err); err != nil {
				return last, err
			}
			continue
		}
		last = status
		for range looksPerCommand {
			if err := patience.pause(ctx, ErrUndecided); err != nil {
				return last, fmt.Errorf("waiting for %s: %w", command, err)
			}
			now, _, err := once[Status](ctx, c, look)
			if err != nil {
				continue // the command itself will say what is wrong
			}
			if now.State != last.State || !now.ExpiresAt.Equal(last.ExpiresAt) {
				last = now
				break
			}
		}
		if command == "extend" && last.ExpiresAt.After(status.ExpiresAt) {
			return last, nil // once more would extend it once more
		}
	}
}
