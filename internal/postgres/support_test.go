package postgres

import (
	"context"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestMain(m *testing.M) { devstacktest.Main(m) }

func testTopic() event.TopicID { return event.TopicID{1, 2, 3, 15: 255} }

// migrated makes the tables, and rows for so many empty partitions.
func migrated(t testing.TB, url string, partitions int32) {
	t.Helper()
	check(t, Migrate(t.Context(), url, nil))
	bounds := make([]Bounds, partitions)
	for i := range bounds {
		bounds[i].Partition = int32(i)
	}
	_, err := PartitionRows(t.Context(), url, testTopic(), bounds)
	check(t, err)
}

func newOwner(t testing.TB, url string) *Owner {
	t.Helper()
	owner, err := NewOwner(t.Context(), Config{URL: url, Name: "test"})
	check(t, err)
	t.Cleanup(owner.Close)
	return owner
}

func newReader(t testing.TB, url string) *Reader {
	t.Helper()
	reader, err := NewReader(t.Context(), Config{URL: url})
	check(t, err)
	t.Cleanup(reader.Close)
	return reader
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	check(t, err)
	t.Cleanup(func() { closeConnection(context.Background(), connection) })
	return connection
}

func execute(t testing.TB, url, statement string, arguments ...any) {
	t.Helper()
	_, err := connect(t, url).Exec(t.Context(), statement, arguments...)
	check(t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func proven(context.Context) error { return nil }

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// driver owns a partition as the allocator does: it applies records and makes
// batches of what they decided.
type driver struct {
	t         failer
	owner     *Owner
	partition int32

	epoch     int64
	core      *sale.Partition
	changes   sale.Changes
	from      sale.Offset
	revisions map[sale.Offset]sale.Offset
}

// drive claims a partition.
func drive(ctx context.Context, t failer, owner *Owner, partition int32) *driver {
	t.Helper()
	d := &driver{t: t, owner: owner, partition: partition}
	d.claim(ctx)
	return d
}

func (d *driver) claim(ctx context.Context) {
	d.t.Helper()
	claim, err := d.owner.Claim(ctx, d.partition, proven)
	if err != nil {
		d.t.Fatal(err)
	}
	d.begin(claim)
}

func (d *driver) begin(claim allocator.Claim) {
	d.t.Helper()
	core, err := sale.Restore(claim.State)
	if err != nil {
		d.t.Fatal(err)
	}
	d.core, d.epoch, d.from, d.changes = core, claim.Epoch, core.Next(), sale.Changes{}
	d.revisions = make(map[sale.Offset]sale.Offset)
	for _, s := range claim.State.Sales {
		d.revisions[s.ID] = s.Revision
	}
}

// apply decides a record, which gets the next offset.
func (d *driver) apply(record sale.Record) sale.Offset {
	d.t.Helper()
	record.Offset = d.core.Next()
	if err := d.core.Apply(record, &d.changes); err != nil {
		d.t.Fatal(err)
	}
	return record.Offset
}

// seal makes the batch of what was applied since the last one.
func (d *driver) seal() *allocator.Batch {
	batch := &allocator.Batch{
		Partition: d.partition, Epoch: d.epoch, From: d.from, To: d.core.Next(),
		Now: d.core.Now(), Schema: d.core.Schema(), Malformed: d.core.Malformed(),
		Last: digestBefore(d.core.Next()), OldestStart: d.core.OldestStart(),
	}
	for _, decision := range d.changes.Decisions {
		switch {
		case decision.Kind == sale.OfRequest && !decision.Default:
			batch.Requests = slices.DeleteFunc(batch.Requests, func(r sale.Request) bool { return r.Offset == decision.Request.Offset })
			batch.Requests = append(batch.Requests, decision.Request)
		case decision.Kind == sale.OfCommand:
			batch.Results = append(batch.Results, decision.Result)
		case decision.Kind == sale.OfStart:
			batch.Starts = append(batch.Starts, decision.Start)
		}
	}
	for _, s := range d.changes.Sales() {
		was, known := d.revisions[s.ID]
		if !known {
			was = sale.None
		}
		d.revisions[s.ID] = s.Revision
		batch.Sales = append(batch.Sales, allocator.SaleChange{Sale: s, Was: was})
	}
	d.changes.Reset()
	d.from = batch.To
	return batch
}

func (d *driver) commit(ctx context.Context) *allocator.Batch {
	d.t.Helper()
	batch := d.seal()
	if err := d.owner.Commit(ctx, batch); err != nil {
		d.t.Fatal(err)
	}
	return batch
}

// digestBefore stands for the digest of the record before an offset.
func digestBefore(next sale.Offset) event.Digest {
	return event.Entry{Offset: next - 1, Value: []byte("record")}.Digest()
}

// open raises the schema, opens a sale, and gives its id.
func (d *driver) open(quantity int64) sale.Offset {
	d.t.Helper()
	d.apply(sale.Record{Time: 1000, Body: sale.Schema{Version: sale.FirstSchema}})
	return d.apply(createRecord("tea", quantity))
}

// openWaitlist opens a sale with a waitlist.
func (d *driver) openWaitlist(product sale.Product, quantity int64) sale.Offset {
	return d.openSecond(product, sale.Settings{Quantity: quantity})
}

// openPaced opens a sale with a waitlist, and one checkout window a second.
func (d *driver) openPaced(product sale.Product, quantity int64) sale.Offset {
	return d.openSecond(product, sale.Settings{Quantity: quantity, AdmitPerSecond: 1})
}

// openSecond opens a sale of the second rules.
func (d *driver) openSecond(product sale.Product, s sale.Settings) sale.Offset {
	d.t.Helper()
	s.HoldSeconds, s.MaxHoldSeconds, s.PerBuyerLimit, s.MaxQuantityPerRequest = 10, 20, 4, 4
	s.Policy, s.WaitlistCapacity = sale.PolicyWaitlist, 100
	d.apply(sale.Record{Time: 1000, Body: sale.Schema{Version: sale.NewestSchema}})
	return d.apply(sale.Record{Time: 1000, Product: product, Body: sale.Create{
		Rules: sale.NewestRules, BuyerKey: "k1", Later: true, Settings: s,
	}})
}

func createRecord(product sale.Product, quantity int64) sale.Record {
	return sale.Record{Time: 1000, Product: product, Body: sale.Create{
		Rules: sale.FirstRules, BuyerKey: "k1", Settings: sale.Settings{
			Quantity: quantity, HoldSeconds: 10, PerBuyerLimit: 4, MaxQuantityPerRequest: 4, Policy: sale.PolicyQueue,
		},
	}}
}

func buyRecord(of sale.Offset, buyer sale.Buyer, quantity int64) sale.Record {
	return sale.Record{Time: 1000, Product: "tea", Body: sale.Buy{Sale: of, Buyer: buyer, Quantity: quantity, AcceptedAt: 999}}
}

// wantState fails unless the ledger gives the state of a core.
func wantState(t failer, claim allocator.Claim, want *sale.Partition) {
	t.Helper()
	got, err := sale.Restore(claim.State)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want.Snapshot(), got.Snapshot(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the state in the ledger differs (-core +ledger):\n%s", diff)
	}
	if claim.Topic != testTopic() {
		t.Fatalf("topic %v, want %v", claim.Topic, testTopic())
	}
	if want.Next() > 0 && claim.Last != digestBefore(want.Next()) {
		t.Fatalf("the digest is not that of record %d", want.Next()-1)
	}
}

// randomRecord draws the next record of a log: mostly one that does something.
func randomRecord(t *rapid.T, core *sale.Partition) sale.Record {
	next := core.Next()
	record := sale.Record{
		Offset:  next,
		Time:    core.Now() + sale.Time(rapid.SampledFrom([]int64{0, 1, 100, 3000, -50}).Draw(t, "time")),
		Product: rapid.SampledFrom([]sale.Product{"tea", "tea", "cup"}).Draw(t, "product"),
	}
	if next == 0 {
		record.Body = sale.Schema{Version: sale.NewestSchema}
		return record
	}
	offset := func(name string) sale.Offset {
		return sale.Offset(rapid.Int64Range(-2, int64(next)).Draw(t, name))
	}
	switch rapid.SampledFrom([]string{"create", "buy", "buy", "buy", "buy", "buy", "confirm", "release", "tick", "tick", "malformed", "extend", "return", "steer"}).Draw(t, "type") {
	case "create":
		create := sale.Create{Rules: sale.FirstRules, BuyerKey: "k1", Settings: sale.Settings{
			Quantity: rapid.Int64Range(0, 9).Draw(t, "units"), HoldSeconds: rapid.Int64Range(1, 5).Draw(t, "hold"),
			PerBuyerLimit: 3, MaxQuantityPerRequest: 2, Policy: sale.PolicyQueue,
		}}
		if rapid.IntRange(0, 3).Draw(t, "first rules") > 0 {
			create.Rules, create.Later = sale.NewestRules, true
			s := &create.Settings
			s.Policy, s.MaxHoldSeconds, s.CheckoutURL = sale.PolicyWaitlist, 6, "https://shop/pay?a=b"
			s.WaitlistCapacity = rapid.Int64Range(0, 9).Draw(t, "capacity")
			s.AdmitPerSecond, s.MaxActiveHolds = rapid.Int64Range(0, 2).Draw(t, "pace"), rapid.Int64Range(0, 3).Draw(t, "at once")
			if rapid.Bool().Draw(t, "times") {
				s.OpensAt = max(0, core.Now()+sale.Time(rapid.Int64Range(-100, 200).Draw(t, "opens")))
				s.ClosesAt = s.OpensAt + 20_000
			}
		}
		record.Body = create
	case "buy":
		of := offset("sale")
		for _, s := range core.Snapshot().Sales {
			if s.Product == record.Product && rapid.IntRange(0, 9).Draw(t, "right") > 0 {
				of = s.ID
			}
		}
		record.Body = sale.Buy{
			Sale: of, Buyer: rapid.SampledFrom([]sale.Buyer{"ann", "bob", "cid", "dot", "eve"}).Draw(t, "buyer"),
			Quantity: rapid.SampledFrom([]int64{1, 1, 2, 3, 0, -1 << 63}).Draw(t, "quantity"), AcceptedAt: 5,
		}
	case "confirm":
		record.Body = sale.Confirm{Request: offset("request"), PaymentReference: rapid.SampledFrom([]string{"p1", "p2"}).Draw(t, "payment")}
	case "release":
		record.Body = sale.Release{Request: offset("request"), By: sale.ByShopper}
	case "extend":
		record.Body = sale.Extend{Request: offset("request"), Seconds: 5}
	case "return":
		record.Body = sale.Return{Request: offset("request")}
	case "steer":
		of, version := offset("sale"), int64(1)
		if all := core.Snapshot().Sales; len(all) > 0 {
			s := rapid.SampledFrom(all).Draw(t, "steered")
			of, version, record.Product = s.ID, s.Version, s.Product
		}
		quantity := rapid.Int64Range(1, 9).Draw(t, "units")
		record.Body = rapid.SampledFrom([]sale.Body{
			sale.Pause{Sale: of}, sale.Resume{Sale: of}, sale.Resume{Sale: of}, sale.Close{Sale: of},
			sale.Update{Sale: of, Version: version, Change: sale.Change{Quantity: &quantity}},
		}).Draw(t, "steering")
	case "tick":
		record.Body = sale.Tick{Committed: max(offset("committed"), 0)}
	}
	return record
}
