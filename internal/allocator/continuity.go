package allocator

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ErrDiscontinuous means that the ledger is not a fold of this log's
// beginning. Nothing is ever skipped or reset for it: an operator decides.
var ErrDiscontinuous = errors.New("the log does not continue what the ledger holds")

// needsOperator tells the faults that trying again does not mend.
func needsOperator(err error) bool {
	return errors.Is(err, ErrDiscontinuous) || errors.Is(err, ErrRefused) || errors.Is(err, ErrRebuilding) || errors.Is(err, ErrNoPartition) ||
		errors.Is(err, sale.ErrSchemaTooNew) || errors.Is(err, sale.ErrBroken)
}

// stopReason says why a partition stands still, and what an operator can do.
func stopReason(err error) string {
	switch {
	case errors.Is(err, sale.ErrSchemaTooNew):
		return err.Error() + "; upgrade the allocators"
	case errors.Is(err, sale.ErrBroken), errors.Is(err, ErrRefused):
		return err.Error() + "; the program or the ledger's rows are at fault: compare them with the log (anteroom audit verify)"
	}
	return err.Error()
}

// continues checks that the log is the one that the claim's ledger was made
// from, and still has what comes next.
func continues(ctx context.Context, log Log, partition int32, claim Claim) error {
	if claim.Topic != log.Topic() {
		return fmt.Errorf("%w: the ledger was made from topic id %s, the topic is %s (deleted and made again?); restore the topic, or rebuild an empty ledger from this one",
			ErrDiscontinuous, claim.Topic, log.Topic())
	}
	next := claim.State.Next
	start, end, err := log.Bounds(ctx, partition)
	if err != nil {
		return fmt.Errorf("reading the log's bounds: %w", err)
	}
	switch {
	case end < next:
		return fmt.Errorf("%w: the log ends at offset %d, the ledger has decided up to %d; the broker lost records: restore them, or rebuild an empty ledger from the log",
			ErrDiscontinuous, end, next)
	case start > next:
		return fmt.Errorf("%w: the log starts at offset %d, the ledger needs %d next; retention removed undecided records: restore them",
			ErrDiscontinuous, start, next)
	case start == next:
		return nil // the last record is gone by retention, or there was none
	}
	last, err := log.Entry(ctx, partition, next-1)
	if err != nil {
		return fmt.Errorf("reading the last decided record: %w", err)
	}
	if last.Digest() != claim.Last {
		return fmt.Errorf("%w: record %d is not the one that the ledger decided; the log was changed: restore it, or rebuild an empty ledger from it",
			ErrDiscontinuous, last.Offset)
	}
	return nil
}
