package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ErrTruncated means that a partition's first records are gone, and no snapshot
// stands for them.
var ErrTruncated = errors.New("the log's first records are gone")

// History is the log as all of an audit's commands replay it.
type History struct {
	Log       Log
	Snapshots Snapshots      // nil: replays begin at offset 0
	Watch     func(Progress) // hears of a replay's progress, many times a second; nil: nobody
}

// Snapshots are states of replays that were kept.
type Snapshots interface {
	// Newest gives the latest state of a log's partition whose next record is
	// in [least, most], or false if there is none.
	Newest(topic event.TopicID, partition int32, least, most sale.Offset) (State, bool, error)
}

// Progress is how far a replay has come, in records of all its partitions.
type Progress struct {
	Done, Total int64
}

// Extent is the part of a partition that is replayed and shown: [From, To). A
// From of [sale.None] stands for wherever a replay can begin, which is at the
// latest snapshot.
type Extent struct {
	Partition int32
	From, To  sale.Offset
}

// Visitor sees a replay of a partition.
type Visitor interface {
	// Begin comes before the first record, End after the last.
	Begin(r *Replay) error
	Step(r *Replay, s Step) error
	End(r *Replay) error
}

// stopper is a visitor that is told, in place of End, of a record that cannot be
// decided. It gives nil where that is what it looks for, or else the cause.
type stopper interface {
	Missing(r *Replay, cause error) error // the log lacks it, though it has later ones
	Undecided(r *Replay, s Step, cause error) error
}

// explained asks a visitor what a replay's error means.
func explained(r *Replay, visitor Visitor, err error) error {
	careful, ok := visitor.(stopper)
	var undecided *undecidedError
	switch {
	case ok && errors.Is(err, ErrMissing):
		return careful.Missing(r, err)
	case ok && errors.As(err, &undecided):
		return careful.Undecided(r, undecided.step, err)
	}
	return err
}

// Ends gives the extents of partitions from their beginning to their present
// ends; of all partitions if none is named.
func (h *History) Ends(ctx context.Context, partitions ...int32) ([]Extent, error) {
	if len(partitions) == 0 {
		for partition := range h.Log.Partitions() {
			partitions = append(partitions, partition)
		}
	}
	extents := make([]Extent, len(partitions))
	for i, partition := range partitions {
		_, end, err := h.Log.Bounds(ctx, partition)
		if err != nil {
			return nil, fmt.Errorf("asking where partition %d ends: %w", partition, err)
		}
		extents[i] = Extent{Partition: partition, To: end}
	}
	return extents, nil
}

// Replay decides the extents' records again, one extent after another. What
// comes before an extent's From is replayed too, unless a snapshot stands for
// it, and shown to no visitor.
func (h *History) Replay(ctx context.Context, extents []Extent, visitor func(Extent) Visitor) error {
	begun := make([]State, len(extents))
	var progress Progress
	for i, extent := range extents {
		state, err := h.Begin(ctx, extent)
		if err != nil {
			return err
		}
		begun[i] = state
		progress.Total += int64(extent.To - state.Core.Next())
	}
	for i, extent := range extents {
		if err := h.replay(ctx, extent, begun[i], visitor(extent), &progress); err != nil {
			return err
		}
	}
	return nil
}

// ReplayFrom is Replay of one extent from a state that Begin gave.
func (h *History) ReplayFrom(ctx context.Context, extent Extent, from State, visitor Visitor) error {
	return h.replay(ctx, extent, from, visitor, &Progress{Total: int64(extent.To - from.Core.Next())})
}

// Begin finds the state to begin an extent's replay with: as late as can be.
func (h *History) Begin(ctx context.Context, extent Extent) (State, error) {
	start, _, err := h.Log.Bounds(ctx, extent.Partition)
	if err != nil {
		return State{}, fmt.Errorf("asking where partition %d begins: %w", extent.Partition, err)
	}
	most := extent.From
	if most == sale.None {
		most = extent.To
	}
	if h.Snapshots != nil {
		state, found, err := h.Snapshots.Newest(h.Log.Topic(), extent.Partition, start, most)
		if err != nil || found {
			return state, err
		}
	}
	if start > 0 {
		return State{}, fmt.Errorf("partition %d begins at offset %d, since retention has removed what came before; a replay needs a snapshot of [%d, %d], and there is none: %w",
			extent.Partition, start, start, most, ErrTruncated)
	}
	return Beginning(), nil
}

func (h *History) replay(ctx context.Context, extent Extent, from State, visitor Visitor, progress *Progress) error {
	r := NewReplay(extent.Partition, from)
	seen := r.core.Next()
	r.watch = func(next sale.Offset) {
		progress.Done += int64(next - seen)
		seen = next
		if h.Watch != nil {
			h.Watch(*progress)
		}
	}
	if r.core.Next() < extent.From {
		if err := r.Run(ctx, h.Log, extent.From, func(Step) error { return nil }); err != nil {
			return err
		}
	}
	if err := visitor.Begin(r); err != nil {
		return err
	}
	err := r.Run(ctx, h.Log, extent.To, func(s Step) error { return visitor.Step(r, s) })
	if err != nil {
		return explained(r, visitor, err)
	}
	return visitor.End(r)
}
