package verify

import (
	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// beginnings are the states that replays begin with: those whose chains begin
// where the ledger's do, for only such heads can be compared. A ledger that is
// older than the chains has none of what it had decided by then.
type beginnings struct {
	snapshots audit.Snapshots       // nil: none
	chains    map[int32]sale.Offset // where each partition's begin
}

// Newest implements [audit.Snapshots].
func (b beginnings) Newest(topic event.TopicID, partition int32, least, most sale.Offset) (audit.State, bool, error) {
	start := b.chains[partition]
	for b.snapshots != nil {
		state, found, err := b.snapshots.Newest(topic, partition, least, most)
		if err != nil {
			return audit.State{}, false, err
		}
		if !found {
			break
		}
		if state.ChainStart == start {
			return state, true, nil
		}
		if next := state.Core.Next(); next > start { // a rebuild has begun the chains elsewhere since
			most = next - 1
			continue
		}
		return chainedFrom(start, state), true, nil
	}
	if least > 0 {
		return audit.State{}, false, nil
	}
	return chainedFrom(start, audit.Beginning()), true, nil
}

// chainedFrom lets the chains of a state begin at an offset that is still to
// come.
func chainedFrom(start sale.Offset, state audit.State) audit.State {
	state.ChainStart, state.RecordChain, state.DecisionChain = start, event.Digest{}, event.Digest{}
	return state
}
