package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

// member is a running Membership and what it was told.
type member struct {
	*Membership
	leave func() // and wait until it has
	left  chan error

	mu   sync.Mutex
	mine map[int32]bool
	told []string
}

func join(t *testing.T, config Config, name string) *member {
	t.Helper()
	config.Name = name
	membership, err := NewMembership(config)
	must(t, err)
	m := &member{Membership: membership, left: make(chan error, 1), mine: make(map[int32]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { m.left <- m.Run(ctx, m.assigned, m.lost) }()
	m.leave = sync.OnceFunc(func() {
		cancel()
		if err := <-m.left; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	t.Cleanup(func() { m.leave() })
	return m
}

func (m *member) assigned(partitions []int32) { m.note("assigned", partitions, true) }
func (m *member) lost(partitions []int32)     { m.note("lost", partitions, false) }

func (m *member) note(what string, partitions []int32, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, fmt.Sprint(what, partitions))
	for _, partition := range partitions {
		if m.mine[partition] == mine {
			m.told = append(m.told, fmt.Sprint("twice ", what, partition))
		}
		m.mine[partition] = mine
	}
}

func (m *member) partitions() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []int32
	for partition, mine := range m.mine {
		if mine {
			all = append(all, partition)
		}
	}
	slices.Sort(all)
	return all
}

// shared says whether the members have all of three partitions between them,
// each has one, and each can prove it.
func shared(ctx context.Context, members ...*member) bool {
	var all []int32
	for _, m := range members {
		partitions := m.partitions()
		if len(partitions) == 0 || m.Prove(ctx) != nil {
			return false
		}
		all = append(all, partitions...)
	}
	slices.Sort(all)
	return slices.Equal(all, []int32{0, 1, 2})
}

func TestMembersShareThePartitions(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		migrate(t, config)
		ctx := bounded(t)
		log := openLog(t, config)
		for partition := range int32(3) {
			appendOne(t, log, partition, "not to be fetched")
		}
		registry := prometheus.NewRegistry()
		config.Registerer = registry
		idle, err := NewMembership(config)
		must(t, err)
		if err := idle.Prove(ctx); !errors.Is(err, ErrNotMember) {
			t.Errorf("before it runs: %v", err)
		}

		first := join(t, config, "first")
		eventually(t, "the first has all", func() bool { return shared(ctx, first) })
		second := join(t, config, "second")
		eventually(t, "two share", func() bool { return shared(ctx, first, second) })
		first.leave()
		if err := first.Prove(ctx); !errors.Is(err, ErrNotMember) {
			t.Errorf("after leaving: %v", err)
		}
		if left := first.partitions(); len(left) > 0 {
			t.Errorf("left, and was not told of losing %v", left)
		}
		// The coordinator knows at once, and not when the session has ended.
		_, admin := adminFor(t, b)
		group, err := describeGroup(ctx, admin, config.Group)
		must(t, err)
		if len(group.Members) != 1 || group.Members[0].ClientID != "second" {
			t.Errorf("the group has %d members after one of two has left", len(group.Members))
		}
		eventually(t, "the second has all", func() bool { return shared(ctx, second) })
		offsets, err := admin.FetchOffsets(ctx, config.Group)
		must(t, err)
		if len(offsets.Offsets()) > 0 {
			t.Errorf("the group has stored offsets: %v", offsets)
		}

		// The same again, in the other direction.
		back := join(t, config, "back")
		eventually(t, "two share again", func() bool { return shared(ctx, back, second) })
		if counts := counters(t, registry); counts["anteroom_kafka_write_bytes_total"] == 0 || counts["anteroom_kafka_fetch_records_total"] > 0 {
			t.Errorf("members are to fetch nothing: %v", counts)
		}
		for _, m := range []*member{first, second, back} {
			m.mu.Lock()
			for _, told := range m.told {
				if len(told) > 5 && told[:5] == "twice" {
					t.Errorf("told %v", m.told)
				}
			}
			m.mu.Unlock()
		}
	})
}

// TestProveFailsForAMemberThatWasPutOut: the group forgets the member, as it
// does with one that was silent for its session. Its own client has not noticed.
func TestProveFailsForAMemberThatWasPutOut(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		migrate(t, config)
		ctx := bounded(t)
		m := join(t, config, "member")
		eventually(t, "it has all", func() bool { return shared(ctx, m) })
		was := m.current()

		client, _ := adminFor(t, b)
		must(t, putOut(ctx, client, config.Group, was.member))
		err := m.Prove(ctx)
		if now := m.current(); err == nil && now == was {
			t.Error("a member that was put out proves its place")
		} else if now == was && !errors.Is(err, ErrNotMember) {
			t.Errorf("a member that was put out: %v", err)
		}

		eventually(t, "it has joined again", func() bool { return m.current() != was && shared(ctx, m) })
		m.mu.Lock()
		defer m.mu.Unlock()
		if want := []string{"assigned[0 1 2]", "lost[0 1 2]", "assigned[0 1 2]"}; !slices.Equal(m.told, want) {
			t.Errorf("told %v, want %v", m.told, want)
		}
		// The old place is worth nothing, whoever has it.
		now := m.current()
		m.pretend(was)
		if err := m.Prove(ctx); !errors.Is(err, ErrNotMember) {
			t.Errorf("under its old place: %v", err)
		}
		m.pretend(place{member: now.member, generation: now.generation - 1})
		if err := m.Prove(ctx); !errors.Is(err, ErrNotMember) {
			t.Errorf("under an earlier generation: %v", err)
		}
		m.pretend(now)
		must(t, m.Prove(ctx))
	})
}

// TestNothingIsProvedDuringARebalance asks between a newcomer's join and the
// member's next heartbeat, from which it learns of that. The time between them
// is up to a second, by chance: it is given several chances.
func TestNothingIsProvedDuringARebalance(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		config := configFor(b)
		migrate(t, config)
		ctx := bounded(t)
		first := join(t, config, "first")
		var seen error
		for chance := range 10 {
			eventually(t, "the first has all", func() bool { return shared(ctx, first) })
			newcomer := join(t, config, fmt.Sprint("newcomer", chance))
			eventually(t, "the coordinator refuses", func() bool {
				seen = first.Prove(ctx)
				return seen != nil
			})
			if errors.Is(seen, ErrRebalancing) {
				return
			}
			if !errors.Is(seen, ErrNotMember) {
				t.Errorf("during a rebalance: %v", seen)
			}
			newcomer.leave()
		}
		t.Errorf("a rebalance was never seen as one; last: %v", seen)
	})
}

func TestMembershipRunsOnce(t *testing.T) {
	t.Parallel()
	b := devstacktest.Embedded(t)
	config := configFor(b)
	migrate(t, config)
	ctx := bounded(t)
	m := join(t, config, "member")
	eventually(t, "it has all", func() bool { return shared(ctx, m) })
	if err := m.Run(ctx, m.assigned, m.lost); err == nil {
		t.Error("it runs twice at once")
	}
	must(t, m.Prove(ctx))
}

func (m *member) current() place {
	m.Membership.mu.Lock()
	defer m.Membership.mu.Unlock()
	return m.Membership.place
}

func (m *member) pretend(at place) {
	m.Membership.mu.Lock()
	defer m.Membership.mu.Unlock()
	m.Membership.place = at
}

// putOut makes the group forget a member.
func putOut(ctx context.Context, client *kgo.Client, group, member string) error {
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group = group
	request.MemberID = member
	leaving := kmsg.NewLeaveGroupRequestMember()
	leaving.MemberID = member
	request.Members = append(request.Members, leaving)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, left := range response.Members {
		if err := kerr.ErrorForCode(left.ErrorCode); err != nil {
			return err
		}
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

func describeGroup(ctx context.Context, admin *kadm.Client, name string) (kadm.DescribedGroup, error) {
	groups, err := admin.DescribeGroups(ctx, name)
	if err != nil {
		return kadm.DescribedGroup{}, err
	}
	return groups.On(name, func(group *kadm.DescribedGroup) error { return group.Err })
}
