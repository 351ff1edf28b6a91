package redis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
)

var (
	_ allocator.Feed = (*Feed)(nil)
	_ board.Feed     = (*Feed)(nil)
)

// follower is a feed that runs.
type follower struct {
	feed       *Feed
	subscribed chan struct{}
	messages   chan string
	warnings   warnings
}

func follow(t *testing.T, address string, topic event.TopicID) *follower {
	t.Helper()
	f := &follower{subscribed: make(chan struct{}, 100), messages: make(chan string, 10_000), warnings: make(warnings, 100)}
	f.feed = makeFeed(t, address, topic)
	f.feed.logger = slog.New(f.warnings)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- f.feed.Run(ctx,
			func() { f.subscribed <- struct{}{} },
			func(message []byte) { f.messages <- string(message) })
	}()
	t.Cleanup(func() {
		cancel()
		check(t, await(t, "the feed ends", ended))
	})
	return f
}

func publish(t *testing.T, feed *Feed, message string) {
	t.Helper()
	check(t, feed.Publish(t.Context(), []byte(message)))
}

func (f *follower) want(t *testing.T, message string) {
	t.Helper()
	if got := await(t, "a message", f.messages); got != message {
		t.Fatalf("received %.40q, want %.40q", got, message)
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		log, otherLog := event.TopicID{1}, event.TopicID{2}
		one, two, other := follow(t, address, log), follow(t, address, log), follow(t, address, otherLog)
		for _, f := range []*follower{one, two, other} {
			await(t, "a subscription", f.subscribed)
		}
		publisher := makeFeed(t, address, log)
		for i := range 1000 {
			publish(t, publisher, fmt.Sprint(i))
		}
		large := string(bytes.Repeat([]byte{0, 255}, event.MaxMessage/2))
		publish(t, publisher, large)
		publish(t, publisher, "")
		for _, f := range []*follower{one, two} {
			for i := range 1000 {
				f.want(t, fmt.Sprint(i))
			}
			f.want(t, large)
			f.want(t, "")
			if len(f.subscribed) != 0 || len(f.warnings) != 0 {
				t.Error("a subscription was lost")
			}
		}
		publish(t, other.feed, "of the other log")
		other.want(t, "of the other log")
	})
}

func TestAQuietSubscriptionIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		f := follow(t, address, event.TopicID{1})
		await(t, "a subscription", f.subscribed)
		began := time.Now()
		eventually(t, "it was quiet for long", func() bool { return time.Since(began) > 2*maxSilence })
		publish(t, f.feed, "after")
		f.want(t, "after")
		if len(f.warnings) != 0 || len(f.subscribed) != 0 {
			t.Error("a subscription was given up because nothing was published")
		}
	})
}

func TestSubscribesAgain(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*relay){
		"when its connection is cut":          (*relay).cut,
		"when its connection has gone silent": (*relay).silence,
	}
	for name, disturb := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, address string) {
				log := event.TopicID{1}
				publisher := makeFeed(t, address, log)
				middle := startRelay(t, publisher.client.Options().Addr)
				f := follow(t, "redis://"+middle.address, log)
				await(t, "a subscription", f.subscribed)
				publish(t, publisher, "before")
				f.want(t, "before")
				disturb(middle)
				await(t, "a warning", f.warnings)
				await(t, "another subscription", f.subscribed)
				publish(t, publisher, "after")
				f.want(t, "after")
			})
		})
	}
}

func TestRedisKillsSubscribers(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	f := follow(t, server.URL, event.TopicID{1})
	for range 3 {
		await(t, "a subscription", f.subscribed)
		killed, err := f.feed.client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
		check(t, err)
		if killed == 0 {
			t.Error("there was no subscriber")
		}
		await(t, "a warning", f.warnings)
	}
	await(t, "a subscription", f.subscribed)
	publish(t, f.feed, "after")
	f.want(t, "after")
}

func TestAFrozenRedisIsNoticed(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	f := follow(t, server.URL, event.TopicID{1})
	await(t, "a subscription", f.subscribed)
	check(t, server.Pause())
	await(t, "a warning", f.warnings)
	if len(f.subscribed) != 0 {
		t.Error("subscribed to a frozen server")
	}
	check(t, server.Continue())
	await(t, "another subscription", f.subscribed)
	eventually(t, "publishing works", func() bool { return f.feed.Publish(t.Context(), []byte("after")) == nil })
	f.want(t, "after")
}

func TestRedisRestartsUnderSubscribers(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	f := follow(t, server.URL, event.TopicID{1})
	await(t, "a subscription", f.subscribed)
	check(t, server.Kill())
	await(t, "a warning", f.warnings)
	check(t, server.Restart(t.Context()))
	await(t, "another subscription", f.subscribed)
	if len(f.warnings) != 0 {
		t.Error("one outage gave several warnings")
	}
	publish(t, f.feed, "after")
	f.want(t, "after")
}
