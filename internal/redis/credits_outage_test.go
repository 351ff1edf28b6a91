package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack"
)

func TestRedisDiesUnderCredits(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	creditsGoAndComeBack(t, server.URL, true, outage{
		begin: server.Kill,
		end:   func() error { return server.Restart(t.Context()) },
	})
}

func TestRedisFreezesUnderCredits(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	creditsGoAndComeBack(t, server.URL, false, outage{begin: server.Pause, end: server.Continue})
}

func TestRedisStopsEmbeddedUnderCredits(t *testing.T) {
	t.Parallel()
	server, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	creditsGoAndComeBack(t, server.URL, false, outage{
		begin: server.Stop,
		end:   func() error { return server.Restart(t.Context()) },
	})
}

// creditsGoAndComeBack has a server go away with one unit leased, and come back
// with or without its data.
func creditsGoAndComeBack(t *testing.T, address string, empty bool, outage outage) {
	t.Helper()
	gate := hastyGate(t, address)
	credits := NewCredits(CreditsConfig{Client: open(t, address)})
	granted := func(credit allocator.Credit) bool {
		began := time.Now()
		err := credits.Grant(t.Context(), ask("").Log, []allocator.Credit{credit})
		if took := time.Since(began); took > tolerance {
			t.Errorf("the grant took %v and gave %v", took, err)
		}
		return err == nil
	}
	asked := 0
	leased := func() bool {
		asked++
		got, err := answerOf(t.Context(), gate, credited(fmt.Sprintf("buyer-%d", asked), 1))
		return err == nil && got.Lease != ""
	}
	eventually(t, "credits are granted", func() bool { return granted(credit(5, 1)) })
	eventually(t, "one is leased", leased)

	check(t, outage.begin())
	wantDown(t, gate)
	eventually(t, "grants are refused", func() bool {
		began := time.Now()
		err := credits.Grant(t.Context(), ask("").Log, []allocator.Credit{credit(6, 1)})
		if took := time.Since(began); err == nil || took > tolerance {
			t.Errorf("the grant took %v and gave %v", took, err)
		}
		return errors.Is(err, errDown)
	})
	gate.Yield(credited("ann", 1), "x-1-1")
	eventually(t, "the lease is given up", func() bool { return gate.yields.waiting() == 0 })

	check(t, outage.end())
	eventually(t, "the gate is back", func() bool {
		asked++
		got, err := answerOf(t.Context(), gate, credited(fmt.Sprintf("buyer-%d", asked), 1))
		if err == nil && got.Unknown != empty {
			t.Errorf("before the owner has said anything: %+v", got)
		}
		return err == nil
	})
	eventually(t, "credits are granted again", func() bool { return granted(credit(7, 2)) })
	eventually(t, "the next one is leased", leased)
}

func TestAGrantThatIsCancelledIsNoFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		credits := makeCredits(t, address)
		expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
		defer cancel()
		if err := credits.Grant(expired, ask("").Log, []allocator.Credit{credit(5, 1)}); err == nil {
			t.Error("granted with an expired context")
		}
		grantTo(t, credits, credit(5, 1))
	})
}

// TestAGrantIsBounded has a client that would wait for long.
func TestAGrantIsBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		middle := startRelay(t, open(t, address).redis.Options().Addr)
		credits := makeCredits(t, "redis://"+middle.address)
		grantTo(t, credits, credit(5, 1))
		middle.silence()
		credits.timeout = 100 * time.Millisecond
		began := time.Now()
		if err := credits.Grant(t.Context(), ask("").Log, []allocator.Credit{credit(6, 1)}); err == nil {
			t.Error("granted without an answer")
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("the grant took %v", took)
		}
	})
}
