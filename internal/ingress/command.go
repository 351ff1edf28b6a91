package ingress

import (
	"context"
	"errors"
	"time"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// errUndecided means that a command is in the log, and so is sure to be
// decided, and was not in time.
var errUndecided = errors.New("the command is not decided yet")

// command appends a record and waits for what it does, commandWait at most. It
// gives the record's offset along with errUndecided too. Any other error is an
// answer of "unknown".
func (i *Ingress) command(ctx context.Context, partition int32, product sale.Product, body sale.Body) (sale.Offset, sale.Result, error) {
	if i.board.Stopped(partition) != "" {
		return sale.None, sale.Result{}, cannotTell("the sale stands still until an operator has looked at it")
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	offset, err := i.appendCommand(ctx, partition, product, body)
	if err != nil {
		return sale.None, sale.Result{}, err
	}
	result, err := i.board.WaitResult(ctx, partition, offset)
	switch {
	case err == nil:
		return offset, result, nil
	case errors.Is(err, board.ErrNoResult):
		// The record says nothing to the core: it is above the log's schema.
		i.log.Error("the log cannot read a command of this version: raise its schema with anteroom migrate", "partition", partition, "offset", offset, "error", err)
		return offset, sale.Result{}, cannotTell("the log cannot read such a command until an operator has raised its schema")
	}
	return offset, sale.Result{}, errUndecided
}

// appendCommand appends a record and waits for its acknowledgement.
func (i *Ingress) appendCommand(ctx context.Context, partition int32, product sale.Product, body sale.Body) (sale.Offset, error) {
	value, err := event.Encode(body)
	if err != nil {
		return sale.None, err
	}
	started := time.Now()
	acknowledged := make(chan sale.Offset, 1) // it comes once, wanted or not
	err = i.topic.Append(partition, []byte(product), value, func(offset sale.Offset, err error) {
		i.metrics.produce.Observe(time.Since(started).Seconds())
		if err != nil {
			offset = sale.None
		} else {
			i.board.NoteAppended(partition, offset)
		}
		acknowledged <- offset
	})
	if err != nil {
		return sale.None, refusedByLog(err)
	}
	select {
	case offset := <-acknowledged:
		if offset < 0 {
			return sale.None, cannotTell("the log could not tell whether it has the command; it is safe to repeat it")
		}
		return offset, nil
	case <-ctx.Done():
		return sale.None, cannotTell("the log has not answered in time; it is safe to repeat the command")
	}
}

// refusedBy words the core's refusal of a command.
func refusedBy(code sale.Code) error {
	switch code {
	case sale.CodeDone:
		return nil
	case sale.CodeNotHeld:
		return refuse(notHeld, "")
	case sale.CodeHoldExpired:
		return refuse(holdExpired, "")
	case sale.CodeOtherPayment:
		return refuse(otherPayment, "")
	case sale.CodeHoldLimit:
		return refuse(holdLimit, "")
	case sale.CodeNotConfirmed:
		return refuse(notConfirmed, "")
	case sale.CodeAlreadyOpen:
		return refuse(alreadyOpen, "")
	case sale.CodeInvalid:
		return refuse(invalidRequest, "the sale cannot have these settings")
	case sale.CodeUnknownSale:
		return refuse(unknownSale, "")
	case sale.CodeStaleVersion:
		return refuse(staleVersion, "")
	case sale.CodeQuantityInUse:
		return refuse(quantityInUse, "")
	case sale.CodeSaleClosed:
		return refuse(saleClosed, "")
	case sale.CodeSaleRetired:
		return refuse(saleRetired, "")
	case sale.CodeNotOpen:
		return refuse(notOpen, "")
	}
	return refuse(internalError, "the log refused the command for a reason that this server does not know: "+string(code))
}
