package allocator

import (
	"context"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// Messages that wait for Redis. Above it they are dropped: boards notice
	// the gap and read the ledger.
	maxWaitingMessages = 64
	publishTimeout     = time.Second
	// No row is smaller than this, encoded, in bytes.
	smallestRequest = 100
	smallestResult  = 50
	// What was committed last is still announced when a loop ends.
	lastWords = 300 * time.Millisecond
)

// mark is where a partition stands.
type mark struct {
	partition int32
	epoch     int64
	watermark sale.Offset
	end       sale.Offset
	now       sale.Time
}

// announcer publishes messages in order, beside the loop, which it never holds
// up.
type announcer struct {
	topic    string
	feed     Feed
	metrics  *metrics
	messages chan *event.Message
}

func newAnnouncer(topic event.TopicID, feed Feed, metrics *metrics) *announcer {
	return &announcer{topic: topic.String(), feed: feed, metrics: metrics, messages: make(chan *event.Message, maxWaitingMessages)}
}

// announce queues what a batch changed.
func (a *announcer) announce(b *Batch, end sale.Offset) {
	m := &event.Message{
		Log: a.topic, Partition: b.Partition, Epoch: b.Epoch,
		From: b.From, To: b.To, End: max(end, b.To), Now: b.Now, OldestStart: b.OldestStart,
	}
	if len(b.Requests)*smallestRequest+len(b.Results)*smallestResult > event.MaxMessage {
		m.Heal = true // as encoding would find: rows that are of no use do not wait
		a.queue(m)
		return
	}
	m.Requests, m.Results, m.Starts = b.Requests, b.Results, b.Starts
	m.Sales = make([]sale.Sale, len(b.Sales))
	for i := range b.Sales {
		m.Sales[i] = b.Sales[i].Sale
	}
	a.queue(m)
}

// life queues a sign of life, unless other messages are waiting, which are one.
func (a *announcer) life(at mark) {
	if len(a.messages) > 0 {
		return
	}
	a.queue(&event.Message{
		Log: a.topic, Partition: at.partition, Epoch: at.epoch,
		From: at.watermark, To: at.watermark, End: max(at.end, at.watermark), Now: at.now,
	})
}

func (a *announcer) queue(m *event.Message) {
	select {
	case a.messages <- m:
	default:
		a.metrics.announcementsDropped.Inc()
	}
}

// run publishes until ctx is done, and then, briefly, what is left.
func (a *announcer) run(ctx context.Context) {
	publishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
	for {
		select {
		case m := <-a.messages:
			a.publish(publishing, m)
		case <-ctx.Done():
			for publishing.Err() == nil {
				select {
				case m := <-a.messages:
					a.publish(publishing, m)
				default:
					return
				}
			}
			return
		}
	}
}

func (a *announcer) publish(ctx context.Context, m *event.Message) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	encoded, err := event.EncodeMessage(m)
	if err == nil {
		err = a.feed.Publish(ctx, encoded)
	}
	if err != nil {
		a.metrics.announcementsDropped.Inc() // boards notice; nothing is lost
	}
}
