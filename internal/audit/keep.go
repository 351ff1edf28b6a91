package audit

import (
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Keeper keeps states for later replays to begin with.
type Keeper interface {
	// Keep prepares to keep a partition's state. Rows are given to the Keeping
	// before it is known whether they are right.
	Keep(topic event.TopicID, partition int32) (Keeping, error)
}

// Keeping is a state that is being kept.
type Keeping interface {
	Request(row sale.Request) error // in the order of (cause, request)
	Result(row sale.Result) error   // in the order of commands
	// Done keeps the state with the rows; Drop forgets them.
	Done(State) error
	Drop()
}
