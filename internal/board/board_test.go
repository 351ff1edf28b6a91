package board_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// expect compares one answer with the truth at the board's watermark.
func (s *stack) expect(t *testing.T, of, offset sale.Offset) board.View {
	t.Helper()
	known, inMemory := s.Recall(0, of, offset)
	asked := s.ledger.requests
	got, err := s.Lookup(within(t, time.Second), 0, of, offset)
	if err != nil {
		t.Fatal(err)
	}
	if needed := s.ledger.requests > asked; needed == inMemory || inMemory && known != got {
		t.Fatalf("request %d: Recall says %t, %+v; Lookup, which asked the ledger: %t, says %+v", offset, inMemory, known, needed, got)
	}
	if diff := cmp.Diff(s.view(of, offset, s.Watermark(0)), s.withoutETA(t, got)); diff != "" {
		t.Fatalf("request %d (-truth +board):\n%s", offset, diff)
	}
	return got
}

// withoutETA gives a view as the truth has it, once its ETA is found to be one
// that its state may have.
func (tr *truth) withoutETA(t interface{ Fatalf(string, ...any) }, v board.View) board.View {
	of := tr.saleAt(v.Sale, v.Watermark)
	switch {
	case v.ETA == board.NoETA:
	case v.ETA < 0:
		t.Fatalf("request %d has a negative ETA: %+v", v.Offset, v)
	case v.Position == board.NoPosition || v.State != sale.Queued && v.State != sale.Reserved:
		t.Fatalf("request %d has an ETA as %s: %+v", v.Offset, v.State, v)
	case of != nil && of.Stage == sale.StagePaused:
		t.Fatalf("request %d of a paused sale has an ETA: %+v", v.Offset, v)
	}
	v.ETA = 0
	return v
}

func (s *stack) expectWatermark(t *testing.T, want sale.Offset) {
	t.Helper()
	if at := s.Watermark(0); at != want {
		t.Fatalf("the watermark is %d, expected %d", at, want)
	}
}

// sold makes a committed log with a sale of one unit, a hold and a loser.
func sold(limit int) (s *stack, of, winner, loser sale.Offset) {
	s = newStack(1, limit)
	of = s.create("a", 1)
	winner = s.buy("a", of, "first")
	loser = s.buy("a", of, "second")
	s.commit()
	return s, of, winner, loser
}

func TestNewBoardInTheMiddleOfASaleIsRightAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, loser := sold(10)
		queued := s.buy("a", of, "third")
		s.start()
		defer s.stop()
		if !s.Ready() || s.WaitReady(within(t, time.Second)) != nil {
			t.Fatal("the board is not ready")
		}
		if v := s.expect(t, of, winner); v.State != sale.Held {
			t.Errorf("the winner is %s", v.State)
		}
		if v := s.expect(t, of, loser); v.State != sale.SoldOut || v.HasRow {
			t.Errorf("the loser is %+v", v)
		}
		if v := s.expect(t, of, queued); v.State != sale.Queued || v.Position != 0 {
			t.Errorf("the third is %+v", v)
		}
		if v := s.expect(t, of, queued+7); v.Position != 7 {
			t.Errorf("a record above the known end has position %d", v.Position)
		}
	})
}

func TestNothingIsAnsweredBeforeTheFirstRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		s.ledger.down = true
		s.start()
		defer s.stop()
		s.feed.send(s.message(0, s.committed))
		if _, err := s.Lookup(within(t, time.Second), 0, of, winner); !errors.Is(err, board.ErrNotReady) {
			t.Errorf("looking up a request: %v", err)
		}
		if _, err := s.Lookup(within(t, time.Second), 0, of, 1000); !errors.Is(err, board.ErrNotReady) {
			t.Errorf("looking up a request far up: %v", err)
		}
		if err := s.WaitReady(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) || s.Ready() {
			t.Errorf("waiting for the first read: %v", err)
		}
		s.expectWatermark(t, sale.None)
	})
}

func TestSubscribedBeforeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.startOn(&feed{silent: true})
		defer s.stop()
		if s.ledger.reads != 0 {
			t.Error("the ledger was read before the subscription held")
		}
		s.feed.subscribed()
		synctest.Wait()
		s.expectWatermark(t, s.committed)
	})
}

func TestWithoutAFeedTheLedgerIsRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.startOn(&feed{silent: true})
		defer s.stop()
		advance(1200 * time.Millisecond)
		s.expectWatermark(t, s.committed)
	})
}

func TestMessagesOfAnotherLogAreIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, _, _ := sold(10)
		s.start()
		defer s.stop()
		before := s.committed
		next := s.buy("a", of, "third")
		m := s.commit()
		m.Log = event.TopicID{9}.String()
		s.ledger.set(func() { s.ledger.down = true })
		s.feed.send(m)
		s.expectWatermark(t, before)
		s.expect(t, of, next)
	})
}

func TestALedgerOfAnotherLogIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(10)
		s.ledger.topic = event.TopicID{9}
		s.start()
		defer s.stop()
		if err := s.CatchUp(within(t, 5*time.Second), 0, 1); !errors.Is(err, board.ErrOtherLog) {
			t.Errorf("catching up: %v", err)
		}
		if _, err := s.Lookup(within(t, time.Second), 0, of, winner); !errors.Is(err, board.ErrNotReady) {
			t.Errorf("looking up a request: %v", err)
		}
	})
}

func TestALedgerThatChangesItsLogIsNotAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, of, winner, _ := sold(1)
		s.confirmMany(5) // the winner's row is the oldest
		s.commit()
		s.start()
		defer s.stop()
		s.ledger.set(func() { s.ledger.topic = event.TopicID{9} })
		advance(2 * time.Second)
		if _, err := s.Lookup(within(t, time.Second), 0, of, winner); !errors.Is(err, board.ErrOtherLog) {
			t.Errorf("looking up a request: %v", err)
		}
		if s.ledger.requests > 0 {
			t.Error("the ledger was asked")
		}
	})
}

func TestTheLineIsNotBehindWhatWasAppended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.start()
		defer s.stop()
		s.NoteAppended(0, s.committed+4)
		s.NoteAppended(0, s.committed+2)
		if s.Line(0) != 5 || s.End(0) != s.committed+5 {
			t.Errorf("line %d, end %d", s.Line(0), s.End(0))
		}
		if s.LogTime(0) != s.now[s.committed] {
			t.Errorf("log time is %d", s.LogTime(0))
		}
	})
}

func TestPartitionsThatDoNotExist(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		s.start()
		defer s.stop()
		for _, partition := range []int32{-1, 1} {
			w := s.Watch(partition, 1)
			w.Close()
			s.NoteAppended(partition, 4)
			if s.Watermark(partition) != sale.None || s.End(partition) != 0 || s.Line(partition) != 0 ||
				s.Stopped(partition) != "" || s.LogTime(partition) != 0 {
				t.Error("something is known of a partition that does not exist")
			}
			_, ofLookup := s.Lookup(t.Context(), partition, 1, 1)
			_, ofResult := s.WaitResult(t.Context(), partition, 1)
			for _, err := range []error{ofLookup, ofResult, s.CatchUp(t.Context(), partition, 1)} {
				if !errors.Is(err, board.ErrNoPartition) {
					t.Errorf("partition %d: %v", partition, err)
				}
			}
		}
	})
}

func TestAFeedThatEndsEndsRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		broken := errors.New("broken")
		for _, end := range []error{broken, nil} {
			s := newStack(3, 10)
			f := &feed{ended: make(chan error, 1)}
			b, err := board.New(board.Config{Log: topic, Partitions: 3, Ledger: s.ledger, Feed: f})
			if err != nil {
				t.Fatal(err)
			}
			f.ended <- end
			if err := b.Run(t.Context()); err == nil || (end != nil && !errors.Is(err, end)) {
				t.Errorf("the feed ended with %v, Run with %v", end, err)
			}
		}
	})
}

func TestNoSuchBoard(t *testing.T) {
	t.Parallel()
	good := board.Config{Log: topic, Partitions: 1, Ledger: &ledger{}, Feed: &feed{}}
	for name, spoil := range map[string]func(*board.Config){
		"log": func(c *board.Config) { c.Log = event.TopicID{} }, "partitions": func(c *board.Config) { c.Partitions = 0 },
		"ledger": func(c *board.Config) { c.Ledger = nil }, "feed": func(c *board.Config) { c.Feed = nil },
		"limit": func(c *board.Config) { c.Limit = -1 },
	} {
		config := good
		spoil(&config)
		if _, err := board.New(config); err == nil {
			t.Errorf("a board with a wrong %s was made", name)
		}
	}
	good.Registerer = prometheus.NewRegistry()
	if _, err := board.New(good); err != nil {
		t.Error(err)
	}
	if _, err := board.New(good); err == nil {
		t.Error("two boards were registered at the same place")
	}
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, _, _ := sold(10)
		registry := prometheus.NewPedanticRegistry()
		b, err := board.New(board.Config{Log: topic, Partitions: 1, Ledger: s.ledger, Feed: &feed{}, Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		synctest.Wait()
		b.NoteAppended(0, s.committed+1)
		advance(300 * time.Millisecond)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]float64)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				name := family.GetName()
				for _, label := range m.GetLabel() {
					name += " " + label.GetValue()
				}
				got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		want := map[string]float64{
			"anteroom_board_asks_total": 0, "anteroom_board_heals_total": 1, "anteroom_board_heal_failures_total": 0,
			"anteroom_board_lag_seconds 0": 0.3, "anteroom_line_records 0": 2,
			"anteroom_units a available": 0, "anteroom_units a reserved": 0,
			"anteroom_units a held": 1, "anteroom_units a confirmed": 0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
