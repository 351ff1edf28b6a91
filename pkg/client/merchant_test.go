package client

import (
	"errors"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	holdPath    = "GET /v1/holds/0-2"
	confirmPath = "POST /v1/holds/0-2/confirm"
	extendPath  = "POST /v1/holds/0-2/extend"
)

func TestMerchantCommands(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on(holdPath, answering(200, told("held", "", "")))
		f.on(confirmPath, answering(200, told("confirmed", "", "")))
		f.on(extendPath, answering(200, told("held", "", "")))
		f.on("POST /v1/holds/0-2/release", answering(200, told("released", "", "")))
		f.on("POST /v1/holds/0-2/return", answering(200, told("returned", "", "")))
		for _, step := range []struct {
			do   func() (Status, error)
			want sale.State
			body string
		}{
			{func() (Status, error) { return c.Hold(t.Context(), "0-2") }, sale.Held, ""},
			{func() (Status, error) { return c.Confirm(t.Context(), "0-2", "order-1") }, sale.Confirmed, `{"payment_reference":"order-1"}`},
			{func() (Status, error) { return c.Extend(t.Context(), "0-2", 90*time.Second+1) }, sale.Held, `{"seconds":91}`},
			{func() (Status, error) { return c.Release(t.Context(), "0-2") }, sale.Released, `{}`},
			{func() (Status, error) { return c.Return(t.Context(), "0-2") }, sale.Returned, `{}`},
		} {
			got, err := step.do()
			came := f.requests("")
			last := came[len(came)-1]
			if err != nil || got.State != step.want || last.body != step.body || last.head.Get("Authorization") != "Bearer of-merchant" {
				t.Errorf("%+v, %v; it asked %+v", got, err, last)
			}
		}
		if _, err := c.Extend(t.Context(), "0-2", 0); err == nil {
			t.Error("an extension by nothing was taken")
		}
	})
}

// TestConfirmUndecided: it looks until something has happened, and asks what.
func TestConfirmUndecided(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		c := f.client()
		f.on(confirmPath, problem(503, "unavailable", "Retry-After", "2"), answering(202, told("held", "", "")), answering(200, told("confirmed", "", "")))
		f.on(holdPath, answering(200, told("held", "", "")), problem(503, "unavailable"), answering(200, told("confirmed", "", "")))
		if got, err := c.Confirm(t.Context(), "0-2", "order-1"); err != nil || got.State != sale.Confirmed {
			t.Errorf("%+v, %v", got, err)
		}
		if commands, looks := len(f.requests(confirmPath)), len(f.requests(holdPath)); commands != 3 || looks != 3 {
			t.Errorf("%d commands and %d looks, want 3 and 3", commands, looks)
		}

		// Somebody else's payment was first.
		f.on(confirmPath, answering(202, told("held", "", "")), problem(409, "other_payment"))
		f.on(holdPath, answering(200, told("confirmed", "", "")))
		if _, err := c.Confirm(t.Context(), "0-2", "order-2"); !HasCode(err, "other_payment") || errors.Is(err, ErrUnknown) {
			t.Errorf("it ended with %v", err)
		}

		// Nothing happens to be seen, as of a command that was refused.
		f.on(confirmPath, answering(202, told("held", "", "")), problem(409, "hold_expired"))
		f.on(holdPath, answering(200, told("held", "", "")))
		before := len(f.requests(holdPath))
		if _, err := c.Confirm(t.Context(), "0-2", "order-2"); !HasCode(err, "hold_expired") || len(f.requests(holdPath))-before != looksPerCommand {
			t.Errorf("it ended with %v after %d looks", err, len(f.requests(holdPath))-before)
		}

		f.on(confirmPath, answering(202, told("held", "", "")))
		began := time.Now()
		got, err := c.Confirm(t.Context(), "0-2", "order-2")
		if !errors.Is(err, ErrUndecided) || got.State != sale.Held || time.Since(began) > defaultPatience {
			t.Errorf("after %s: %+v, %v", time.Since(began), got, err)
		}
	})
}

// TestExtendUndecided: an end that has moved is the answer; asking once more
// would move it once more.
func TestExtendUndecided(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(extendPath, answering(202, told("held", "", `,"expires_at":"2026-11-22T17:00:00Z"`)))
		f.on(holdPath,
			answering(200, told("held", "", `,"expires_at":"2026-11-22T17:00:00Z"`)),
			answering(200, told("held", "", `,"expires_at":"2026-11-22T17:05:00Z"`)))
		got, err := f.client().Extend(t.Context(), "0-2", 5*time.Minute)
		if err != nil || got.ExpiresAt.Minute() != 5 || len(f.requests(extendPath)) != 1 {
			t.Errorf("%+v, %v after %d commands", got, err, len(f.requests(extendPath)))
		}
	})
}
