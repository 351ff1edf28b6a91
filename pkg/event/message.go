package event

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Message tells boards what a partition's owner has committed: everything
// caused by the records of [From, To). With From = To it is a sign of life.
type Message struct {
	Log       string `json:"log"` // the topic's id, as TopicID.String
	Partition int32  `json:"partition"`
	Epoch     int64  `json:"epoch"` // a label for people; nothing is decided by it

	From sale.Offset `json:"from"`
	To   sale.Offset `json:"to"`  // the watermark after the batch
	End  sale.Offset `json:"end"` // the log's end as the owner last saw it, at least To
	Now  sale.Time   `json:"now"` // log time after the batch

	// Heal is set where the rest would be larger than a message may be: read
	// the ledger instead.
	Heal bool `json:"heal,omitzero"`

	Requests []sale.Request `json:"requests,omitempty"` // exceptions, the latest row of each
	Results  []sale.Result  `json:"results,omitempty"`
	Starts   []sale.Start   `json:"starts,omitempty"` // new ones
	Sales    []sale.Sale    `json:"sales,omitempty"`  // changed ones, whole

	// OldestStart: starts with Below under it are needed no more.
	OldestStart sale.Offset `json:"oldest_start"`
}

// MaxMessage is the size in bytes above which a message says only Heal.
const MaxMessage = 512 << 10

// EncodeMessage writes m, or only its extent and Heal where it would be larger
// than MaxMessage.
func EncodeMessage(m *Message) ([]byte, error) {
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	if len(encoded) <= MaxMessage {
		return encoded, nil
	}
	short := Message{Log: m.Log, Partition: m.Partition, Epoch: m.Epoch, From: m.From, To: m.To, End: m.End, Now: m.Now, Heal: true, OldestStart: m.OldestStart}
	encoded, err = json.Marshal(&short)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return encoded, nil
}

// DecodeMessage reads a message. Unknown members are let pass: an owner may be
// newer than a board.
func DecodeMessage(encoded []byte) (*Message, error) {
	m := new(Message)
	if err := json.Unmarshal(encoded, m); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	return m, nil
}
