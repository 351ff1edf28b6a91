package board_test

import (
	"fmt"
	"slices"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// truth is one partition's log, what the core decides about it, and how it
// was at every watermark. It knows nothing of a board's ways: defaults come
// from decisions, not from a sale's intervals, and starts are never dropped.
type truth struct {
	partition int32
	core      *sale.Partition
	records   []sale.Record

	now      []sale.Time      // by watermark
	oldest   []sale.Offset    // OldestStart by watermark
	waiting  [][]sale.Request // those that are waitlisted or reserved, by watermark
	rows     map[sale.Offset][]sale.Request
	defaults map[sale.Offset]sale.Request
	results  map[sale.Offset]sale.Result
	starts   []sale.Start
	sales    map[sale.Offset][]sale.Sale // by id, each revision

	committed sale.Offset
}

func newTruth(partition int32) *truth {
	return &truth{
		partition: partition, core: sale.New(),
		now: []sale.Time{0}, oldest: []sale.Offset{0}, waiting: [][]sale.Request{nil},
		rows: make(map[sale.Offset][]sale.Request), defaults: make(map[sale.Offset]sale.Request),
		results: make(map[sale.Offset]sale.Result), sales: make(map[sale.Offset][]sale.Sale),
	}
}

func (tr *truth) end() sale.Offset { return sale.Offset(len(tr.records)) }

// add appends a record to the log and decides it.
func (tr *truth) add(at sale.Time, product sale.Product, body sale.Body) sale.Offset {
	record := sale.Record{Offset: tr.end(), Time: at, Product: product, Body: body}
	var changes sale.Changes
	if err := tr.core.Apply(record, &changes); err != nil {
		panic(fmt.Sprintf("the core refused a record of a test: %v", err))
	}
	tr.records = append(tr.records, record)
	tr.now = append(tr.now, tr.core.Now())
	tr.oldest = append(tr.oldest, tr.core.OldestStart())
	var waiting []sale.Request
	for _, r := range tr.core.Snapshot().Requests {
		if r.State == sale.Waitlisted || r.State == sale.Reserved {
			waiting = append(waiting, r)
		}
	}
	tr.waiting = append(tr.waiting, waiting)
	for _, d := range changes.Decisions {
		switch d.Kind {
		case sale.OfRequest:
			if d.Default {
				tr.defaults[d.Request.Offset] = d.Request
			} else {
				tr.rows[d.Request.Offset] = append(tr.rows[d.Request.Offset], d.Request)
			}
		case sale.OfCommand:
			tr.results[d.Result.Command] = d.Result
		case sale.OfStart:
			tr.starts = append(tr.starts, d.Start)
		}
	}
	for _, s := range changes.Sales() {
		s.Defaults = slices.Clone(s.Defaults)
		tr.sales[s.ID] = append(tr.sales[s.ID], s)
	}
	return record.Offset
}

// row gives a request's row at a watermark, or nil.
func (tr *truth) row(offset, watermark sale.Offset) *sale.Request {
	versions := tr.rows[offset]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].Cause < watermark {
			row := versions[i]
			return &row
		}
	}
	return nil
}

// salesAt gives all sales at a watermark, in the order of their ids.
func (tr *truth) salesAt(watermark sale.Offset) []sale.Sale {
	var all []sale.Sale
	for id := range tr.end() {
		versions := tr.sales[id]
		for i := len(versions) - 1; i >= 0; i-- {
			if versions[i].Revision < watermark {
				all = append(all, versions[i])
				break
			}
		}
	}
	return all
}

// startsAt gives the starts that an owner would still have.
func (tr *truth) startsAt(watermark sale.Offset) []sale.Start {
	var all []sale.Start
	for _, s := range tr.starts {
		if s.Cause < watermark && s.Below >= tr.oldest[watermark] {
			all = append(all, s)
		}
	}
	return all
}

// place counts those who are before a request that waits.
func (tr *truth) place(row *sale.Request, watermark sale.Offset) int64 {
	var ahead int64
	for _, other := range tr.waiting[watermark] {
		if other.Sale != row.Sale || other.State != row.State {
			continue
		}
		sooner := other.Offset < row.Offset
		if row.State == sale.Reserved && other.Granted != row.Granted {
			sooner = other.Granted < row.Granted
		}
		if sooner {
			ahead++
		}
	}
	return ahead
}

// saleAt gives a sale at a watermark, or nil.
func (tr *truth) saleAt(id, watermark sale.Offset) *sale.Sale {
	for _, s := range tr.salesAt(watermark) {
		if s.ID == id {
			return &s
		}
	}
	return nil
}

// view is what a board at a watermark has to say of a request whose ticket
// names the sale of. It says nothing of an ETA, which is not of the log.
func (tr *truth) view(of, offset, watermark sale.Offset) board.View {
	v := board.View{
		Partition: tr.partition, Offset: offset, Sale: of,
		Position: board.NoPosition, Watermark: watermark, LogTime: tr.now[watermark],
	}
	if offset >= watermark {
		v.State, v.Position, v.LogTime = sale.Queued, int64(offset-watermark), 0
		return v
	}
	row := tr.row(offset, watermark)
	if row != nil && row.First != sale.None {
		row = tr.row(row.First, watermark)
	}
	if row == nil {
		outcome := tr.defaults[offset]
		v.State, v.Reason, v.Product = outcome.State, outcome.Reason, outcome.Product
		return v
	}
	if row.Sale != sale.None {
		v.Sale = row.Sale
	}
	v.Offset, v.State, v.Reason, v.HasRow = row.Offset, row.State, row.Reason, true
	v.Product, v.Quantity, v.Payment = row.Product, row.Quantity, row.Payment
	v.AcceptedAt, v.DecidedAt = row.AcceptedAt, row.DecidedAt
	switch row.State {
	case sale.Waitlisted, sale.Reserved:
		v.Position = tr.place(row, watermark)
	case sale.Held:
		var starts sale.Starts
		for _, start := range tr.starts {
			if start.Cause < watermark {
				starts = append(starts, start)
			}
		}
		of := tr.saleAt(row.Sale, watermark)
		if end, begun := of.EndOf(row, starts); begun {
			v.ExpiresAt, v.CheckoutURL = end, of.CheckoutURL
		}
	case sale.Queued, sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
	}
	return v
}

// message tells what the records of [from, to) caused.
func (tr *truth) message(from, to sale.Offset) *event.Message {
	m := &event.Message{
		Log: topic.String(), Partition: tr.partition, Epoch: 1,
		From: from, To: to, End: max(tr.end(), to), Now: tr.now[to], OldestStart: tr.oldest[to],
	}
	m.Requests, m.Results = tr.caused(from, to)
	for _, s := range tr.salesAt(to) {
		if s.Revision >= from {
			m.Sales = append(m.Sales, s)
		}
	}
	for _, s := range tr.starts {
		if s.Cause >= from && s.Cause < to {
			m.Starts = append(m.Starts, s)
		}
	}
	return m
}

// caused gives the rows and results at the watermark to that were caused at or
// after from.
func (tr *truth) caused(from, to sale.Offset) (rows []sale.Request, results []sale.Result) {
	for offset := range to {
		if row := tr.row(offset, to); row != nil && row.Cause >= from {
			rows = append(rows, *row)
		}
		if result, ok := tr.results[offset]; ok && offset >= from {
			results = append(results, result)
		}
	}
	return rows, results
}

// extract is what a ledger says at a watermark.
func (tr *truth) extract(from sale.Offset, watermark sale.Offset, limit int) board.Extract {
	asked := from
	rows, results := tr.caused(from, watermark)
	for len(rows) > limit || len(results) > limit {
		from++
		rows, results = tr.caused(from, watermark)
	}
	var waiting []board.Waiting
	if from > asked {
		for _, r := range slices.Backward(tr.waiting[watermark]) {
			waiting = append(waiting, board.Waiting{Offset: r.Offset, Sale: r.Sale, State: r.State, Granted: r.Granted})
		}
	}
	return board.Extract{
		Waiting: waiting,
		Topic:   topic, Epoch: 1, Watermark: watermark, Now: tr.now[watermark], From: from,
		Requests: rows, Results: results, Sales: tr.salesAt(watermark),
		Starts: tr.startsAt(watermark), OldestStart: tr.oldest[watermark],
	}
}
