package webhook

import (
	"context"
	"time"
)

// Place is where a record lies in the topic of decisions.
type Place struct {
	Partition int32
	Offset    int64
	Epoch     int32 // of the partition's leader, as the broker told it
}

// Record is a record of the topic of decisions.
type Record struct {
	Place
	Value []byte
}

// Source is the topic of decisions as one member of a consumer group reads it.
type Source interface {
	// Poll waits for records and gives at least one, those of a partition in
	// order.
	Poll(ctx context.Context) ([]Record, error)
	// Commit stores, for each partition named, that all up to and with the
	// place is done. Whoever reads the partition next begins after it.
	Commit(ctx context.Context, done []Place) error
}

// Store keeps messages that could not be delivered. Several processes may use
// one Store.
type Store interface {
	// Keep adds a message, unless it is there.
	Keep(ctx context.Context, kept Kept) error
	// Due gives at most limit messages that are not dead and whose next attempt
	// is due at now, and puts that off until then, so that nobody else tries
	// them meanwhile.
	Due(ctx context.Context, now, until time.Time, limit int) ([]Kept, error)
	// Failed notes another attempt, which the message has the outcome of.
	Failed(ctx context.Context, kept Kept) error
	// Delivered drops a message.
	Delivered(ctx context.Context, id string) error
	// Waiting counts the messages that are not dead.
	Waiting(ctx context.Context) (int, error)
}

// Message is what a shop is told.
type Message struct {
	ID   string // the decision's
	Type string
	Body []byte // the same at every attempt
}

// Kept is a message that could not be delivered, so far.
type Kept struct {
	Message
	URL         string // that it was last sent to, without a password
	Attempts    int
	LastStatus  int // of HTTP; 0: there was no answer
	LastError   string
	FailedAt    time.Time
	NextAttempt time.Time
	Dead        bool // it is not tried again by itself
}
