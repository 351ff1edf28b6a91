package event

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// The two ways to read a record, and that which writes any, each by itself.
var (
	Canonical = canonical
	Strict    = strict
	EncodeAny = encode
)

// EncodeStruct writes what a decision with a row, a result or a start is as a
// Decision, encoded as any struct: what is written by hand has to be the same.
func EncodeStruct(log TopicID, partition int32, d *sale.Decision) ([]byte, error) {
	to := Decision{
		ID: decisionID(partition, d.Cause, d.Index), Log: log.String(), Partition: partition,
		Cause: d.Cause, Index: d.Index, Time: Instant(d.Time),
	}
	switch d.Kind {
	case sale.OfRequest:
		r := &d.Request
		to.Product, to.Sale, to.State, to.Reason = r.Product, publicID(partition, r.Sale), r.State, r.Reason
		if d.Default {
			from, end := r.Offset, r.Offset+1
			to.Type, to.From, to.To, to.Count = DecisionType("requests."+string(r.State)), &from, &end, 1
			break
		}
		to.Type = DecisionType("request." + string(r.State))
		if r.State == sale.Held && r.HeldSince != d.Cause {
			to.Type = RequestExtended
		}
		to.Request, to.First = publicID(partition, r.Offset), publicID(partition, r.First)
		to.Quantity, to.RequestedAt = r.Quantity, Instant(r.AcceptedAt)
		to.HoldMs, to.PaymentReference = r.HoldFor, r.Payment
	case sale.OfCommand:
		r := &d.Result
		to.Type = CommandDone
		if r.Code != sale.CodeDone {
			to.Type = CommandRefused
		}
		to.Product, to.Code, to.Command = r.Product, r.Code, publicID(partition, r.Command)
		to.Sale, to.Request = publicID(partition, r.Sale), publicID(partition, r.Request)
	case sale.OfStart:
		to.Type = HoldStarted
		to.Below, to.At = &d.Start.Below, Instant(d.Start.At)
	}
	return json.Marshal(&to, jsontext.AllowInvalidUTF8(true))
}
