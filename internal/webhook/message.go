package webhook

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// kindOf gives the type of the message that tells of a decision, or false for
// one that shops are not told of.
func kindOf(t event.DecisionType) (string, bool) {
	switch t {
	case event.RequestHeld:
		return "hold.opened", true
	case event.RequestExpired:
		return "hold.expired", true
	case event.RequestConfirmed:
		return "hold.confirmed", true
	case event.RequestWaitlisted, event.SaleOpened, event.SaleSoldOut, event.SaleClosed:
		return string(t), true
	case event.RequestQueued, event.RequestExtended, event.RequestReserved, event.RequestSoldOut, event.RequestRejected,
		event.RequestReleased, event.RequestReturned, event.RequestsSoldOut, event.RequestsRejected, event.HoldStarted,
		event.CommandDone, event.CommandRefused, event.SaleCreated, event.SalePaused, event.SaleResumed, event.SaleChanged,
		event.SaleRetired:
		return "", false
	}
	return "", false // it came with a later version
}

// envelope is a message's body, as the specification wants it.
type envelope struct {
	Type      string        `json:"type"`
	Timestamp event.Instant `json:"timestamp"` // log time of the decision
	Data      any           `json:"data"`
}

// origin says which decision a message tells of: what has a higher (cause,
// index) in a log's partition is later.
type origin struct {
	Log       string      `json:"log"`
	Partition int32       `json:"partition"`
	Cause     sale.Offset `json:"cause"`
	Index     int         `json:"index"`
}

// requestData is the data of hold.* and request.*.
type requestData struct {
	Request          string        `json:"request"`
	Product          sale.Product  `json:"product"`
	Sale             string        `json:"sale"`
	State            sale.State    `json:"state"`
	Quantity         int64         `json:"quantity"`
	RequestedAt      event.Instant `json:"requested_at,omitzero"`
	PaymentReference string        `json:"payment_reference,omitempty"`
	origin
}

// saleData is the data of sale.*: the sale as it was after the decision.
type saleData struct {
	*event.SaleSnapshot
	origin
}

// messageOf makes the message that tells of a decision. It is false for one
// that shops are not told of.
func messageOf(value []byte) (Message, bool, error) {
	d, err := event.DecodeDecision(value)
	if err != nil {
		return Message{}, false, err
	}
	kind, told := kindOf(d.Type)
	if !told {
		return Message{}, false, nil
	}
	from := origin{Log: d.Log, Partition: d.Partition, Cause: d.Cause, Index: d.Index}
	var data any = &requestData{
		Request: d.Request, Product: d.Product, Sale: d.Sale, State: d.State, Quantity: d.Quantity,
		RequestedAt: d.RequestedAt, PaymentReference: d.PaymentReference, origin: from,
	}
	if d.Snapshot != nil {
		data = &saleData{SaleSnapshot: d.Snapshot, origin: from}
	}
	body, err := json.Marshal(&envelope{Type: kind, Timestamp: d.Time, Data: data})
	if err != nil {
		return Message{}, false, fmt.Errorf("writing the message of decision %s: %w", d.ID, err)
	}
	return Message{ID: d.ID, Type: kind, Body: body}, true, nil
}
