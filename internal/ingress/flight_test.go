package ingress

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestFlightIsLeftOnce(t *testing.T) {
	t.Parallel()
	for stage, left := range map[int32]bool{stageAsking: true, stageHinted: true, stageTaken: false} {
		f := &flight{}
		f.stage.Store(stage)
		if f.leave() != left || f.leave() {
			t.Errorf("stage %d: leaving is not true %v and then false", stage, left)
		}
	}
}

// clickOf is a click under a key that all share.
func clickOf(buyer sale.Buyer) *click { return &click{ask: Ask{Buyer: buyer}, key: 7} }

// TestBuyersWhoShareAKey have flights of their own, in whatever order these end.
func TestBuyersWhoShareAKey(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		f := newFlights(newOverload(time.Now()))
		var begun []*flight
		for _, buyer := range []sale.Buyer{"ann", "bob", "cat"} {
			of, first := f.join(clickOf(buyer), make(chan struct{}, 1), time.Now())
			if again, second := f.join(clickOf(buyer), nil, time.Now()); !first || second || again != of {
				t.Errorf("%s does not have one flight", buyer)
			}
			begun = append(begun, of)
		}
		for n, at := range order {
			of := begun[at]
			f.settle(of, Hint{Offset: sale.Offset(at)}, nil, time.Now())
			<-of.joined
			f.settle(of, Hint{Offset: 99}, errAbandoned, time.Now()) // too late
			if of.hint.Offset != sale.Offset(at) || of.refusal != nil {
				t.Errorf("%s: %+v, %v", of.ask.Buyer, of.hint, of.refusal)
			}
			f.end(of)
			if f.find(7, of.ask.Buyer) != nil || f.has(7) != (n < 2) {
				t.Errorf("after %s has ended: %v", of.ask.Buyer, f.has(7))
			}
			for _, other := range order[n+1:] {
				if f.find(7, begun[other].ask.Buyer) != begun[other] {
					t.Errorf("%s's end took %s along", of.ask.Buyer, begun[other].ask.Buyer)
				}
			}
		}
	}
}

func TestFlightThatIsJoinedLate(t *testing.T) {
	t.Parallel()
	f := newFlights(newOverload(time.Now()))
	of, _ := f.join(clickOf("ann"), make(chan struct{}, 1), time.Now())
	f.settle(of, Hint{Offset: 5}, nil, time.Now())
	<-f.find(7, "ann").joined
}

// TestPanicWhereTheGateAnswers takes nobody else along: neither the gate, whose
// goroutine it is, nor those who joined the click.
func TestPanicWhereTheGateAnswers(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		log := &panickingLog{Log: i.topic, panics: 1}
		i.topic = log
		w.gate.admitting = make(chan struct{})
		answers := make(chan answer, 2)
		for range cap(answers) {
			go func() { answers <- i.call(t, "POST", "/v1/products/shirt/buy", "", as("ada")) }()
			synctest.Wait()
		}
		w.gate.down = true // so that the limit is that of this ingress
		close(w.gate.admitting)
		codes := map[int]int{(<-answers).code: 1}
		codes[(<-answers).code]++
		if codes[http.StatusInternalServerError] != 1 || codes[http.StatusTooManyRequests] != 1 {
			t.Errorf("answers %v", codes)
		}
		i.buys(t, "bob")
	})
}

type panickingLog struct {
	Log
	panics int
}

func (l *panickingLog) Append(partition int32, key, value []byte, done func(sale.Offset, error)) error {
	if l.panics > 0 {
		l.panics--
		panic("told to")
	}
	return l.Log.Append(partition, key, value, done)
}
