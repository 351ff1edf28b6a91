package explain

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// ErrNoRequest means that there is a log, and no such request in it. What wraps
// it says what there is instead.
var ErrNoRequest = errors.New("no request")

// Request tells the story of the request that the record at an offset made. It
// replays the partition once, from the request's sale on or from the beginning;
// to the end, unless nothing can happen to the request any more, and for a
// duplicate once more for the request that counts. The errors wrap ErrNoRequest
// where the record is no request, and [audit.ErrTruncated] where the log does not have
// it any more.
func Request(ctx context.Context, h *audit.History, partition int32, offset sale.Offset) (*Story, error) {
	bought, err := request(ctx, h, partition, offset)
	if err != nil {
		return nil, err
	}
	e, err := explain(ctx, h, partition, bought)
	if err != nil {
		return nil, err
	}
	if e.story.Reason == sale.ReasonDuplicate {
		e.story.FirstID = ticket.PublicID(partition, int64(e.row.First))
		e.story.First, err = Request(ctx, h, partition, e.row.First) // which is no duplicate
		if err != nil && !errors.Is(err, audit.ErrTruncated) {
			return nil, fmt.Errorf("%s is a duplicate: %w", e.story.ID, err)
		}
	}
	return &e.story, nil
}

// request reads the record that made a request.
func request(ctx context.Context, h *audit.History, partition int32, offset sale.Offset) (*event.Entry, error) {
	entry, err := h.Entry(ctx, partition, offset)
	switch {
	case errors.Is(err, audit.ErrNotThere):
		return nil, fmt.Errorf("%w: %w", err, ErrNoRequest)
	case err != nil:
		return nil, err
	}
	switch body := event.Decode(entry.Value).(type) {
	case nil, sale.Buy:
		return entry, nil
	default:
		return nil, fmt.Errorf("%s is %s: %w", ticket.PublicID(partition, int64(offset)), recordName(body), ErrNoRequest)
	}
}

// recordName says what a record is that is no request.
func recordName(body sale.Body) string {
	switch b := body.(type) {
	case sale.Create:
		return "a sale.create, which made a sale"
	case sale.Confirm:
		return fmt.Sprintf("a confirm, about the request at offset %d", b.Request)
	case sale.Extend:
		return fmt.Sprintf("an extend, about the request at offset %d", b.Request)
	case sale.Release:
		return fmt.Sprintf("a release, about the request at offset %d", b.Request)
	case sale.Return:
		return fmt.Sprintf("a return, about the request at offset %d", b.Request)
	case sale.Update:
		return fmt.Sprintf("a sale.update, of the sale at offset %d", b.Sale)
	case sale.Pause:
		return fmt.Sprintf("a sale.pause, of the sale at offset %d", b.Sale)
	case sale.Resume:
		return fmt.Sprintf("a sale.resume, of the sale at offset %d", b.Sale)
	case sale.Close:
		return fmt.Sprintf("a sale.close, of the sale at offset %d", b.Sale)
	case sale.Tick:
		return "a tick, by which log time passes"
	case sale.Schema:
		return "a schema record"
	}
	return "not a request"
}

// errTold ends a replay when there is nothing more to tell.
var errTold = errors.New("the story is told")

func explain(ctx context.Context, h *audit.History, partition int32, bought *event.Entry) (*explaining, error) {
	extents, err := h.Ends(ctx, partition)
	if err != nil {
		return nil, err
	}
	e := newExplaining(partition, bought)
	begun, err := before(ctx, h, partition, e)
	if err != nil {
		return nil, err
	}
	switch err := h.ReplayFrom(ctx, extents[0], begun, e); {
	case errors.Is(err, errTold):
		if h.Watch != nil {
			done := int64(e.story.Until - begun.Core.Next())
			h.Watch(audit.Progress{Done: done, Total: done}) // that is all
		}
	case err != nil:
		return nil, err
	}
	return e, nil
}

// before gives a state from before the request's sale, or else from before the
// request.
func before(ctx context.Context, h *audit.History, partition int32, e *explaining) (audit.State, error) {
	for _, latest := range []sale.Offset{e.of, e.story.Offset} {
		if latest <= 0 || latest > e.story.Offset {
			continue
		}
		state, err := h.Begin(ctx, audit.Extent{Partition: partition, From: latest})
		if !errors.Is(err, audit.ErrTruncated) || latest == e.story.Offset {
			return state, err
		}
	}
	return audit.Beginning(), nil // there is no sale before the first record
}
