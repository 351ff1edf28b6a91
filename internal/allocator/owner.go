package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

const (
	// A batch that has this many records is sealed while the one before it is
	// still being committed, and its rows are made meanwhile.
	maxBatchRecords = 20_000
	// How often an owner repeats its watermark.
	lifeInterval = 500 * time.Millisecond
)

// owner is one ownership of one partition: from a claim to the first doubt.
// Only its run loop touches it.
type owner struct {
	partition int32
	epoch     int64
	log       Log
	ledger    Ledger
	logger    *slog.Logger
	metrics   *metrics
	announcer *announcer
	creditor  *creditor
	publisher *publisher // nil: decisions are not published

	state      *sale.Partition
	batch      assembly // applied, and not handed to a commit
	deliveries deliveries
	committed  sale.Offset // the ledger has everything below it
	logTime    sale.Time   // at committed
	end        sale.Offset // of the log, as last told
	ticker     ticker
	pace       pace
	alarmed    time.Time // when the clocks' distance was last logged
}

// portion is what one read brought, decoded.
type portion struct {
	records []sale.Record
	last    event.Digest // of the last record
	chain   event.Digest // the records' head after it
	marks   []byte       // after each
	end     sale.Offset
	err     error
}

// own claims the partition and serves it until something is in doubt. The
// error says what; the epoch is 0 where the claim failed.
func (a *Allocator) own(ctx context.Context, partition int32, logger *slog.Logger) (int64, error) {
	claim, err := a.claim(ctx, partition)
	if err != nil {
		return 0, err
	}
	a.metrics.epoch.WithLabelValues(label(partition)).Set(float64(claim.Epoch))

	bounded, cancel := context.WithTimeout(ctx, claimTimeout)
	err = continues(bounded, a.config.Log, partition, claim)
	cancel()
	if err != nil {
		return claim.Epoch, err
	}
	state, err := sale.Restore(claim.State)
	if errors.Is(err, sale.ErrSchemaTooNew) {
		return claim.Epoch, err
	}
	if err != nil {
		return claim.Epoch, fmt.Errorf("restoring the partition: %w: %w", sale.ErrBroken, err)
	}
	reader, err := a.config.Log.Open(partition, state.Next())
	if err != nil {
		return claim.Epoch, fmt.Errorf("opening the log: %w", err)
	}
	logger.Info("owns the partition", "epoch", claim.Epoch, "next", state.Next())

	ctx, stop := context.WithCancel(ctx)
	o := &owner{
		partition: partition, epoch: claim.Epoch,
		log: a.config.Log, ledger: a.config.Ledger, logger: logger, metrics: a.metrics,
		announcer: newAnnouncer(a.config.Log.Topic(), a.config.Feed, a.metrics),
		creditor:  newCreditor(a.config.Log.Topic(), a.config.Credits, claim, a.metrics.creditsFailed.Inc),
		publisher: a.newPublisher(partition, state.Next(), logger),
		state:     state, batch: newAssembly(claim), deliveries: newDeliveries(),
		committed: state.Next(), logTime: state.Now(), end: state.Next(), ticker: newTicker(),
	}
	o.batch.standings = a.standings(claim)
	portions := make(chan portion, 1)
	reading, announcing, granting, publishing := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		defer reader.Close()
		read(ctx, reader, event.NewChain(claim.RecordChain), portions)
	}()
	// The announcer ends after the loop, which may yet have a commit to announce.
	announcements, quiet := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(announcing)
		o.announcer.run(announcements)
	}()
	go func() {
		defer close(granting)
		o.creditor.run(ctx)
	}()
	go func() {
		defer close(publishing)
		o.publisher.run(ctx)
	}()
	err = o.run(ctx, portions)
	stop()
	quiet()
	<-reading
	<-announcing
	<-granting
	<-publishing
	return claim.Epoch, err
}

func (a *Allocator) claim(parent context.Context, partition int32) (Claim, error) {
	ctx, cancel := context.WithTimeout(parent, claimTimeout)
	defer cancel()
	claim, err := a.config.Ledger.Claim(ctx, partition, a.config.Membership.Prove)
	if err != nil {
		return Claim{}, fmt.Errorf("claiming the partition: %w", err)
	}
	if parent.Err() != nil { // lost meanwhile: a claim dies with its assignment
		return Claim{}, parent.Err()
	}
	return claim, nil
}

// read decodes what the log brings, beside the loop that applies it, until an
// error or ctx ends it. While there is a crowd it rests in between.
func read(ctx context.Context, reader Reader, chain *event.Chain, portions chan<- portion) {
	for {
		entries, end, err := reader.Read(ctx)
		for _, p := range cut(entries, end, chain) {
			if !hand(ctx, portions, p) {
				return
			}
		}
		if err != nil {
			hand(ctx, portions, portion{err: err})
			return
		}
		if len(entries) > 0 && entries[len(entries)-1].Offset+1 >= end && !rest(ctx, restAfter(len(entries))) {
			return
		}
	}
}

func hand(ctx context.Context, portions chan<- portion, p portion) bool {
	select {
	case portions <- p:
		return true
	case <-ctx.Done():
		return false
	}
}

// cut decodes entries into portions. A schema record begins one, so that what
// comes before it is committed also where this program cannot go past it.
func cut(entries []event.Entry, end sale.Offset, chain *event.Chain) []portion {
	var portions []portion
	var p portion
	var decoder event.Decoder
	for i := range entries {
		record := decoder.Record(entries[i])
		if _, schema := record.Body.(sale.Schema); schema && len(p.records) > 0 {
			portions = append(portions, p.closed(&entries[i-1], end, chain))
			p = portion{}
		}
		if p.records == nil {
			p.records = make([]sale.Record, 0, len(entries)-i)
			p.marks = make([]byte, 0, event.MarkBytes*(len(entries)-i))
		}
		chain.AddEntry(&entries[i])
		p.records, p.marks = append(p.records, record), chain.AppendMark(p.marks)
	}
	if len(p.records) > 0 {
		portions = append(portions, p.closed(&entries[len(entries)-1], end, chain))
	}
	return portions
}

func (p portion) closed(last *event.Entry, end sale.Offset, chain *event.Chain) portion {
	p.last, p.chain, p.end = last.Digest(), chain.Head(), end
	return p
}

// run is the loop: apply, commit, announce, tick.
func (o *owner) run(ctx context.Context, portions <-chan portion) error {
	life := time.NewTicker(lifeInterval)
	defer life.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	o.announcer.life(o.mark())

	defer o.deliveries.abandon()
	for {
		now := time.Now()
		o.advance(ctx, now)
		look := o.tick(now)
		if o.deliveries.inHand == nil && !o.batch.empty() {
			look = min(look, o.pace.wait(now, o.batch.records))
		}
		wake.Reset(look)

		more := portions
		if o.batch.records >= maxBatchRecords {
			more = nil
		}
		select {
		case p := <-more:
			if p.err != nil {
				o.settle()
				return fmt.Errorf("reading the log: %w", p.err)
			}
			if err := o.apply(p); err != nil {
				settled := o.settle()
				if settled && errors.Is(err, sale.ErrSchemaTooNew) {
					o.finish(ctx)
				}
				return err
			}
		case err := <-o.deliveries.outcome:
			batch := o.deliveries.conclude()
			if err != nil {
				return err
			}
			o.concluded(batch)
		case acknowledged := <-o.ticker.acknowledged:
			o.ticker.note(acknowledged, time.Now())
			o.noteSkew()
		case <-wake.C:
		case <-life.C:
			o.announcer.life(o.mark())
		case <-ctx.Done():
			o.settle()
			return ctx.Err()
		}
	}
}

// advance hands on what can be: what waits, once nothing is in hand; what was
// applied, where that has nothing to wait for, or is a whole batch.
func (o *owner) advance(ctx context.Context, now time.Time) {
	for {
		d := &o.deliveries
		switch {
		case d.inHand == nil && d.waiting != nil:
			o.pace.begun(now, int(d.waiting.batch.To-d.waiting.batch.From))
			d.proceed()
		case d.waiting == nil && !o.batch.empty() &&
			(o.batch.records >= maxBatchRecords || d.inHand == nil && o.pace.wait(now, o.batch.records) == 0):
			d.wait(ctx, o.seal(), o.deliver)
		default:
			return
		}
	}
}

// apply decides a portion's records.
func (o *owner) apply(p portion) error {
	for i := range p.records {
		record := &p.records[i]
		before := len(o.batch.changes.Decisions)
		if err := o.state.Apply(*record, &o.batch.changes); err != nil {
			return fmt.Errorf("applying: %w", err)
		}
		for j := range o.batch.changes.Decisions[before:] {
			o.batch.chains.decisions.AddDecision(&o.batch.changes.Decisions[before+j])
		}
		switch body := record.Body.(type) {
		case sale.Buy:
			if body.Lease != "" {
				o.batch.endLease(body.Sale, body.Lease)
			}
		case sale.Tick:
			o.ticker.seen, o.ticker.seenTime = record.Offset, record.Time
			o.noteSkew()
		}
	}
	o.batch.records += len(p.records)
	o.batch.last, o.batch.chains.records = p.last, p.chain
	o.batch.marks = append(o.batch.marks, p.marks...)
	o.end = max(o.end, p.end, o.state.Next())
	return nil
}

// seal closes the batch in the making.
func (o *owner) seal() *Batch {
	return o.batch.seal(o.state, o.partition, o.epoch)
}

// deliver makes a batch's rows and hands them to the ledger in its turn.
func (o *owner) deliver(ctx context.Context, batch *Batch, turn <-chan bool) error {
	err := batch.gather(o.log.Topic(), o.batch.spare)
	if !<-turn {
		return errAbandoned
	}
	if err == nil {
		err = o.commit(ctx, batch)
	}
	if err != nil {
		return fmt.Errorf("committing [%d, %d): %w", batch.From, batch.To, err)
	}
	return nil
}

// commit hands a batch to the ledger. It is not cut short when the loop is
// told to stop: the batch in hand is finished.
func (o *owner) commit(ctx context.Context, batch *Batch) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	began := time.Now()
	if err := o.ledger.Commit(ctx, batch); err != nil {
		return err
	}
	o.metrics.commitDuration.Observe(time.Since(began).Seconds())
	return nil
}

// concluded takes note of a batch that is committed.
func (o *owner) concluded(batch *Batch) {
	o.committed, o.logTime = batch.To, batch.Now
	o.metrics.batchRecords.Observe(float64(batch.To - batch.From))
	o.announcer.announce(batch, o.end)
	o.creditor.note(batch)
	o.publisher.add(batch)
	for outcome, n := range batch.outcomes {
		o.metrics.decisions.WithLabelValues(string(outcome.product), string(outcome.state)).Add(float64(n))
	}
}

// settle waits for the commit in hand, if there is one, and announces it. It is
// false where that may not be committed.
func (o *owner) settle() bool {
	if o.deliveries.inHand == nil {
		return true
	}
	err := <-o.deliveries.outcome
	batch := o.deliveries.conclude()
	if err != nil {
		o.logger.Warn("the last batch may not be committed", "error", err)
		return false
	}
	o.concluded(batch)
	return true
}

// finish commits all that was applied.
func (o *owner) finish(ctx context.Context) {
	d := &o.deliveries
	for d.waiting != nil || !o.batch.empty() {
		if d.waiting == nil {
			d.wait(ctx, o.seal(), o.deliver)
		}
		d.proceed()
		if !o.settle() {
			return
		}
	}
}

func (o *owner) mark() mark {
	return mark{partition: o.partition, epoch: o.epoch, watermark: o.committed, end: o.end, now: o.logTime}
}

// noteSkew compares the broker's clock with this one's, at a tick of ours.
func (o *owner) noteSkew() {
	skew, known := o.ticker.skew()
	if !known {
		return
	}
	o.metrics.skew.WithLabelValues(label(o.partition)).Set(skew.Seconds())
	if now := time.Now(); skew.Abs() > maxSkew && now.Sub(o.alarmed) >= skewAlarm {
		o.alarmed = now
		o.logger.Error("the broker's clock and this one are too far apart; holds end by the broker's", "skew", skew)
	}
}
