package redis

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/pkg/event"
)

const (
	// pingInterval is how often a subscription asks for a sign of life, so that
	// silence means that the connection is dead.
	pingInterval = 500 * time.Millisecond

	// maxSilence is the silence after which a subscription is given up.
	maxSilence = 1500 * time.Millisecond

	// How long it takes until the next attempt to subscribe: from the first to
	// the last, doubling, less up to a half at random.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// Feed carries messages from the owners of a log's partitions to boards, at
// most once: an allocator.Feed and a board.Feed. The log has one channel,
// anteroom:feed:<topic id>. Its methods may be called from several goroutines.
type Feed struct {
	client  *goredis.Client
	timeout time.Duration // of a publication
	channel string
	logger  *slog.Logger
	breaker breaker
}

// NewFeed makes the feed of the log that topic names. Run tells logger when it
// loses its subscription and when it has one again.
func NewFeed(client *Client, topic event.TopicID, logger *slog.Logger) *Feed {
	return &Feed{client: client.redis, timeout: callTimeout, channel: "anteroom:feed:" + topic.String(), logger: logger}
}

// Publish sends a message to whoever is subscribed. It fails when Redis does
// not answer within callTimeout, and at once when it has failed just before;
// the message may have been sent all the same.
func (f *Feed) Publish(ctx context.Context, message []byte) error {
	if err := f.breaker.enter(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	calling, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	err := f.client.Publish(calling, f.channel, message).Err()
	if err == nil {
		f.breaker.leave(nil)
		return nil
	}
	if ctx.Err() != nil {
		f.breaker.abandon()
	} else {
		f.breaker.leave(err)
	}
	return fmt.Errorf("publishing: %w", err)
}

// Run subscribes and calls receive for every message and subscribed whenever a
// subscription begins to hold, from one goroutine, until ctx is done; then it
// returns nil. A connection that is silent for maxSilence is given up. While
// receive runs nothing else is received: what is sent meanwhile waits in Redis,
// which drops a subscriber that is too far behind.
func (f *Feed) Run(ctx context.Context, subscribed func(), receive func(message []byte)) error {
	pause, down := firstPause, false
	for {
		held, err := f.follow(ctx, func() {
			if down {
				f.logger.InfoContext(ctx, "subscribed to the feed again", "channel", f.channel)
			}
			down = false
			subscribed()
		}, receive)
		if ctx.Err() != nil {
			return nil
		}
		if held {
			pause = firstPause
		}
		if !down {
			down = true
			f.logger.WarnContext(ctx, "the feed is lost; boards read Postgres until it is back", "channel", f.channel, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause - rand.N(pause/2)):
		}
		pause = min(2*pause, lastPause)
	}
}

// follow holds one subscription until it breaks, and says whether it ever held.
//
// go-redis replaces a broken connection within a PubSub by itself. Here each
// PubSub is closed at its first error instead: a read that ended in the middle
// of a message leaves its connection at an unknown place. Should go-redis have
// replaced the connection between two reads, because of a ping that failed,
// Redis's confirmation is read from the new one, and subscribed is called.
func (f *Feed) follow(ctx context.Context, subscribed func(), receive func([]byte)) (held bool, err error) {
	subscription := f.client.Subscribe(ctx) // does not connect yet

	var pinger sync.WaitGroup
	defer pinger.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A read does not end with a context, but with its connection. go-redis
	// holds a lock while it connects, which is why this is not waited for.
	pinger.Go(func() { ping(ctx, subscription) })

	if err := subscription.Subscribe(ctx, f.channel); err != nil {
		return false, fmt.Errorf("subscribing: %w", err)
	}
	for {
		received, err := subscription.ReceiveTimeout(ctx, maxSilence)
		if err != nil {
			return held, fmt.Errorf("receiving: %w", err)
		}
		switch received := received.(type) {
		case *goredis.Subscription:
			held = true
			subscribed()
		case *goredis.Message:
			receive([]byte(received.Payload))
		case *goredis.Pong:
		}
	}
}

// ping asks for signs of life until ctx is done, and closes the subscription.
func ping(ctx context.Context, subscription *goredis.PubSub) {
	defer subscription.Close()
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// An error is not needed: the read that waits ends as well.
			_ = subscription.Ping(ctx)
		}
	}
}
