package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/anteroomhq/anteroom/internal/allocator"
)

var _ allocator.Membership = (*Membership)(nil)

var (
	// ErrNotMember means that the group does not count this process in, or not
	// in the generation that assigned its partitions.
	ErrNotMember = errors.New("not a member of the consumer group")
	// ErrRebalancing means that the group is about to share out its partitions
	// anew: nothing is proved now, and it is worth asking again soon.
	ErrRebalancing = errors.New("the consumer group is rebalancing; ask again")
)

// A member that is silent for the session's length loses its partitions; one
// that does not come back within the rebalance's is left out of it.
const (
	sessionTimeout   = 8 * time.Second
	heartbeatEvery   = time.Second
	rebalanceTimeout = 3 * time.Second

	proveTimeout = 3 * time.Second
	leaveTimeout = 5 * time.Second
)

// Membership is this process's place in the consumer group, which assigns
// partitions and nothing else: nothing is fetched and no offset is stored.
//
// It uses the classic group protocol, in which the members share out the
// partitions, cooperatively: a rebalance interrupts only those that move.
type Membership struct {
	config Config
	logger *slog.Logger

	mu     sync.Mutex
	client *kgo.Client // nil while not running
	place  place       // under which the partitions that we have were assigned
}

// place is what the group's coordinator knows a member by.
type place struct {
	member     string // empty: none
	generation int32
}

// NewMembership makes a Membership; Run takes part in the group.
func NewMembership(config Config) (*Membership, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	return &Membership{
		config: config,
		logger: config.Logger.With("topic", config.Topic, "group", config.Group),
	}, nil
}

// Run takes part in the group until ctx is done, and then leaves it, so that
// others get its partitions at once; it waits for that, at most 5 s. It calls
// assigned and lost with partitions, one call at a time; neither may block.
// Partitions that were lost can be assigned again. Lost are those that the group
// takes away, and all of them when the group no longer counts this process in or
// its brokers are out of reach for the session's length. Of a broker that comes
// back earlier nothing is noticed.
//
// Only one Run at a time; it may be called again after it has returned.
func (m *Membership) Run(ctx context.Context, assigned, lost func(partitions []int32)) error {
	// The client outlives ctx, for leaving, and is cut off in the end: its
	// Close would wait for brokers that do not answer.
	clientCtx, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()

	var calling sync.Mutex
	call := func(what func([]int32), partitions map[string][]int32) {
		if numbers := partitions[m.config.Topic]; len(numbers) > 0 {
			calling.Lock()
			defer calling.Unlock()
			slices.Sort(numbers)
			what(numbers)
		}
	}
	client, err := newClient(m.config, slices.Concat(measured(m.config), []kgo.Opt{
		kgo.WithContext(clientCtx),
		kgo.ConsumerGroup(m.config.Group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatEvery),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.DisableAutoCommit(),
		// It comes after every rebalance, also with nothing new: what we keep
		// is ours under the new generation.
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
			m.take(client)
			call(assigned, partitions)
		}),
		// With nothing in it, it says that a rebalance begins. What we knew of
		// our place is then refused by the coordinator.
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			call(lost, partitions)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.forget()
			call(lost, partitions)
		}),
	})...)
	if err != nil {
		return err
	}
	m.mu.Lock()
	running := m.client != nil
	if !running {
		m.client = client
	}
	m.mu.Unlock()
	if running {
		client.Close()
		return errors.New("taking part in the consumer group: already running")
	}
	// The client joins when it learns of a topic, which is paused by then.
	client.PauseFetchTopics(m.config.Topic)
	client.AddConsumeTopics(m.config.Topic)

	var told seldom
	for ctx.Err() == nil {
		// Nothing comes of a paused topic but what went wrong with the group,
		// after which the client joins again by itself.
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			const message = "out of the consumer group; joining again"
			if ctx.Err() == nil && !told.again(message, time.Now()) {
				m.logger.Warn(message, "error", err)
			}
		})
	}

	leaving, cancel := context.WithTimeout(clientCtx, leaveTimeout)
	defer cancel()
	err = client.LeaveGroupContext(leaving)
	m.mu.Lock()
	m.client, m.place = nil, place{}
	m.mu.Unlock()
	cutOff()
	client.Close()
	if err != nil {
		return fmt.Errorf("leaving the consumer group: %w", err)
	}
	return nil
}

// take notes the place under which partitions are assigned. The client joins
// anew only after the callback that calls this has returned.
func (m *Membership) take(client *kgo.Client) {
	member, generation := client.GroupMetadata()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place = place{member: member, generation: generation}
}

func (m *Membership) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place = place{}
}

// Prove asks the group's coordinator, with a heartbeat, whether it still counts
// this member in, under the generation in which its partitions were assigned.
// It returns nil only if the coordinator says so, ErrRebalancing while the
// members are gathering anew, and ErrNotMember otherwise. A process that was
// frozen for longer than the session knows only its old place, which the
// coordinator refuses, until it has joined again and was assigned partitions.
func (m *Membership) Prove(ctx context.Context) error {
	m.mu.Lock()
	client, at := m.client, m.place
	m.mu.Unlock()
	if client == nil || at.member == "" {
		return fmt.Errorf("proving membership: %w", ErrNotMember)
	}
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group = m.config.Group
	request.MemberID = at.member
	request.Generation = at.generation
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("proving membership: %w", err)
	}
	switch err := kerr.ErrorForCode(response.ErrorCode); {
	case err == nil:
		return nil
	case errors.Is(err, kerr.RebalanceInProgress):
		return fmt.Errorf("proving membership: %w", ErrRebalancing)
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("proving membership: %w: %w", ErrNotMember, err)
	default:
		return fmt.Errorf("proving membership: %w", err)
	}
}
