package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/measure"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// streams is the memory of shoppers who wait.
func streams(of size) scenario {
	return scenario{
		"streams", count(of.streams) + " WebSockets that wait",
		"Every shopper waits for a unit and follows by WebSocket. Memory is the growth of the ingress's resident set, for each.",
		[]arm{{"anteroom", "anteroom", func(ctx context.Context, t *trial) error {
			s, err := t.service(ctx, ServiceConfig{})
			if err != nil {
				return err
			}
			everybody := int64(of.streams)
			if err := open(ctx, s, client.NewSale{Quantity: 1, WaitlistCapacity: &everybody}); err != nil {
				return err
			}
			if err := buy(ctx, s, product, "winner", 1, "held"); err != nil {
				return err
			}
			g, err := t.generator(ctx)
			if err != nil {
				return err
			}
			phase := clicks{buyers: of.streams, connections: of.connections}.phase(s.Address())
			phase.Keep = of.streams
			if _, err := g.Run(ctx, phase, nil); err != nil {
				return err
			}
			if _, err := drained(ctx, s, product); err != nil {
				return err
			}
			pid := s.Processes()[report.Ingress]
			before, err := measure.Resident(pid)
			if err != nil {
				return err
			}
			var seen load.Result
			err = t.measured(s.Processes(), g, func() (err error) {
				seen, err = g.Run(ctx, load.Phase{
					Do: load.Stream, Addresses: []string{s.Address()}, Connections: of.connections, Streams: of.streams,
				}, nil)
				return err
			})
			if err != nil {
				return err
			}
			if seen.Streams != of.streams {
				return fmt.Errorf("%d streams are open, want %d: %v", seen.Streams, of.streams, seen.Errors)
			}
			after, err := measure.Resident(pid)
			if err != nil {
				return err
			}
			t.note("stream_bytes", float64(after-before)/float64(of.streams))
			t.note("opened_per_second", float64(of.streams)/seen.Seconds)
			closed, err := g.Run(ctx, load.Phase{Do: load.CloseStreams}, nil)
			if err != nil {
				return err
			}
			if closed.Broken > 0 {
				t.broken("%d streams broke", closed.Broken)
			}
			return nil
		}}},
	}
}

// waiting is what shoppers cost who wait in the line, by the way in which they
// follow.
func waiting(of size) scenario {
	arms := []arm{}
	for _, way := range []struct {
		follow load.Follow
		title  string
	}{
		{load.FollowPoll, "polls, as told by poll_after_ms"},
		{load.FollowLongPoll, "long polls"},
		{load.FollowWebSocket, "WebSockets"},
	} {
		arms = append(arms, arm{string(way.follow), way.title, func(ctx context.Context, t *trial) error {
			return followed(ctx, t, of, way.follow)
		}})
	}
	return scenario{
		"waiting", count(of.waiting) + " shoppers in the line, for " + of.waitFor.String(),
		"Nobody decides, so that everybody waits. Shoppers per core is what one core of the ingress could bear at what a waiting shopper used; the clicks and the opening are left out.",
		arms,
	}
}

func followed(ctx context.Context, t *trial, of size, follow load.Follow) error {
	s, err := t.service(ctx, ServiceConfig{})
	if err != nil {
		return err
	}
	if err := openLine(ctx, s, product); err != nil {
		return err
	}
	if err := s.Halt(); err != nil {
		return err
	}
	g, err := t.generator(ctx)
	if err != nil {
		return err
	}
	phase := clicks{buyers: of.waiting, connections: of.connections, follow: follow}.phase(s.Address())
	phase.Followers = of.waiting
	phase.Patience = of.waitFor
	settled := time.Now().Add(of.waitFor / 3) // everybody waits by then
	pid := s.Processes()[report.Ingress]
	var from, to measure.Usage
	watched := make(chan error, 1)
	go func() {
		watched <- func() (err error) {
			if err := pause(ctx, time.Until(settled)); err != nil {
				return err
			}
			if from, err = measure.Used(pid); err != nil {
				return err
			}
			if err := pause(ctx, of.waitFor/2); err != nil {
				return err
			}
			to, err = measure.Used(pid)
			return err
		}()
	}()
	seen, err := g.Run(ctx, phase, nil)
	if looked := <-watched; err == nil {
		err = looked
	}
	if err != nil {
		return err
	}
	share := (to.CPUSeconds - from.CPUSeconds) / to.At.Sub(from.At).Seconds()
	t.note("ingress_cores", share)
	if share > 0 {
		t.note("shoppers_per_core", float64(of.waiting)/share)
	}
	t.note("calls_per_second", float64(sum(seen.Calls))/of.waitFor.Seconds())
	if seen.MostWaiting < of.waiting {
		t.broken("%d of %d shoppers waited at once", seen.MostWaiting, of.waiting)
	}
	if seen.PositionRises > 0 {
		t.broken("%d places moved back", seen.PositionRises)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
