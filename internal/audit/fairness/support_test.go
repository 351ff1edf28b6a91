package fairness

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// fairLog is a topic in memory: a slice for each partition.
type fairLog [][]event.Entry

func (l fairLog) Topic() event.TopicID { return event.TopicID{0xfa, 0x17} }
func (l fairLog) Partitions() int32    { return int32(len(l)) }

func (l fairLog) Bounds(_ context.Context, partition int32) (start, end sale.Offset, err error) {
	entries := l[partition]
	if len(entries) == 0 {
		return 0, 0, nil
	}
	return entries[0].Offset, entries[len(entries)-1].Offset + 1, nil
}

func (l fairLog) Open(partition int32, from sale.Offset) (audit.Reader, error) {
	entries := l[partition]
	for len(entries) > 0 && entries[0].Offset < from {
		entries = entries[1:]
	}
	return &fairReader{entries}, nil
}

type fairReader struct{ left []event.Entry }

func (r *fairReader) Read(ctx context.Context) ([]event.Entry, error) {
	if len(r.left) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	some := r.left[:min(len(r.left), 7)]
	r.left = r.left[len(some):]
	return some, nil
}

func (r *fairReader) Close() {}

// goldenFairLog reads a log of testdata.
func goldenFairLog(t *testing.T, path string) []event.Entry {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var entries []event.Entry
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line struct {
			Offset sale.Offset `json:"offset"`
			Time   sale.Time   `json:"time"`
			Key    string      `json:"key"`
			Value  string      `json:"value"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, event.Entry{Offset: line.Offset, Time: line.Time, Key: []byte(line.Key), Value: []byte(line.Value)})
	}
	return entries
}

// fairStory is a log that a test writes record by record.
type fairStory struct {
	t       *testing.T
	records []sale.Record
	now     sale.Time
}

const fairStoryBegins sale.Time = 1_767_225_600_000

func newFairStory(t *testing.T) *fairStory {
	s := &fairStory{t: t, now: fairStoryBegins}
	s.add("", sale.Schema{Version: sale.NewestSchema})
	return s
}

// add appends a record and gives its offset.
func (s *fairStory) add(product sale.Product, body sale.Body) sale.Offset {
	offset := sale.Offset(len(s.records))
	s.records = append(s.records, sale.Record{Offset: offset, Time: s.now, Product: product, Body: body})
	return offset
}

func (s *fairStory) after(ms sale.Time) *fairStory {
	s.now += ms
	return s
}

// create opens a sale of rings. The settings that tests do not care for are
// set.
func (s *fairStory) create(settings sale.Settings) sale.Offset {
	settings.HoldSeconds, settings.MaxHoldSeconds = max(10, settings.HoldSeconds), 60
	settings.PerBuyerLimit, settings.MaxQuantityPerRequest = 4, 4
	return s.add("ring", sale.Create{Rules: sale.NewestRules, Settings: settings, BuyerKey: "b1", Actor: "olga", Reason: "launch", Later: true})
}

// buy asks for units 5 ms after the click.
func (s *fairStory) buy(of sale.Offset, buyer sale.Buyer, quantity int64) sale.Offset {
	return s.add("ring", sale.Buy{Sale: of, Buyer: buyer, Quantity: quantity, AcceptedAt: s.now - 5})
}

func (s *fairStory) buys(of sale.Offset, many int) {
	for i := range many {
		s.buy(of, sale.Buyer(fmt.Sprintf("buyer-%d", i)), 1)
	}
}

// fairStep is a step that a test may change before it is seen.
type fairStep struct {
	record    sale.Record
	decisions []sale.Decision
	changed   []sale.Sale
	now       sale.Time
}

// fairSteps decides records.
func fairStepsOf(t interface{ Fatal(...any) }, records []sale.Record) []fairStep {
	core := sale.New()
	var steps []fairStep
	for _, r := range records {
		var changes sale.Changes
		if err := core.Apply(r, &changes); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, fairStep{r, changes.Decisions, changes.Sales(), core.Now()})
	}
	return steps
}

// judged gives what a report says of steps' sales.
func judged(steps []fairStep, query Query) map[sale.Offset]SaleReport {
	p := newFairPartition(0, query)
	for i := range steps {
		s := &steps[i]
		p.see(audit.Step{Record: &s.record, Decisions: s.decisions}, s.now, s.changed)
		p.now = s.now
	}
	sales := make(map[sale.Offset]SaleReport)
	for id, of := range p.sales {
		sales[id] = of.report(p.now)
	}
	return sales
}
