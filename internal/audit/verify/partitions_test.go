package verify_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// several is a log of several partitions, and its ledger.
func several(t *testing.T, logs ...[]event.Entry) (*audittest.Log, *memoryLedger) {
	t.Helper()
	log, all := &audittest.Log{Portion: 5}, &memoryLedger{bindings: map[sale.Product]int32{}}
	for i, entries := range logs {
		log.Entries = append(log.Entries, entries)
		one := fold(t, entries, sale.Offset(len(entries)), func(i int) bool { return i%3 == 0 })
		one.partitions[0].Partition = int32(i)
		all.partitions = append(all.partitions, one.partitions[0])
		all.sales, all.requests = append(all.sales, one.sales[0]), append(all.requests, one.requests[0])
		all.results, all.starts, all.batches = append(all.results, one.results[0]), append(all.starts, one.starts[0]), append(all.batches, one.batches[0])
		for product := range one.bindings {
			if _, bound := all.bindings[product]; !bound {
				all.bindings[product] = int32(i)
			}
		}
	}
	return log, all
}

// renamed is a log of another product.
func renamed(entries []event.Entry, product string) []event.Entry {
	other := slices.Clone(entries)
	for i := range other {
		if len(other[i].Key) > 0 {
			other[i].Key = []byte(product)
		}
	}
	return other
}

// TestVerifyOfPartitions adds up what was compared, and takes those that a
// product was sold in.
func TestVerifyOfPartitions(t *testing.T) {
	t.Parallel()
	rings := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	lamps := renamed(rings, "lamp")
	products := func(l *memoryLedger, partition int) sale.Product {
		for _, s := range l.sales[partition] {
			return s.Product
		}
		return ""
	}
	for name, c := range map[string]struct {
		product  sale.Product
		tamper   func(*audittest.Log, *memoryLedger)
		compared []int32
		differs  map[int32]verify.Subject
		fails    error
	}{
		"all":             {compared: []int32{0, 1, 2, 3}},
		"one product":     {product: "lamp", compared: []int32{1}},
		"unknown product": {product: "cup", fails: verify.ErrUnknownProduct},
		"bound, and not sold yet": {
			product: "cup", compared: []int32{2},
			tamper: func(_ *audittest.Log, l *memoryLedger) { l.bindings["cup"] = 2 },
		},
		"bound elsewhere": {
			product: "lamp", compared: []int32{1, 2}, differs: map[int32]verify.Subject{1: verify.OfBinding},
			tamper: func(_ *audittest.Log, l *memoryLedger) { l.bindings["lamp"] = 2 },
		},
		"not bound": {
			product: "lamp", compared: []int32{1}, differs: map[int32]verify.Subject{1: verify.OfBinding},
			tamper: func(_ *audittest.Log, l *memoryLedger) { delete(l.bindings, "lamp") },
		},
		"sold in a wrong partition, too": {
			product: "lamp", compared: []int32{1, 3},
			tamper: func(log *audittest.Log, l *memoryLedger) {
				wrong, folded := several(t, renamed(rings, "lamp"))
				log.Entries[3] = wrong.Entries[0]
				l.partitions[3] = folded.partitions[0]
				l.partitions[3].Partition = 3
				l.sales[3], l.requests[3], l.results[3], l.starts[3], l.batches[3] = folded.sales[0], folded.requests[0], folded.results[0], folded.starts[0], folded.batches[0]
			},
		},
		"the first differs": {
			compared: []int32{0, 1, 2, 3}, differs: map[int32]verify.Subject{0: verify.OfPartition},
			tamper: func(_ *audittest.Log, l *memoryLedger) { l.partitions[0].Malformed++ },
		},
		"another topic": {fails: verify.ErrOtherLog, tamper: func(_ *audittest.Log, l *memoryLedger) { l.partitions[1].Topic[0] ^= 1 }},
		"not restored":  {fails: verify.ErrNotRestored, tamper: func(_ *audittest.Log, l *memoryLedger) { l.partitions[1].Rebuilding = true }},
		"a partition that the topic lacks": {
			fails: verify.ErrOtherLog, tamper: func(log *audittest.Log, _ *memoryLedger) { log.Entries = log.Entries[:3] },
		},
		"a partition that the ledger lacks": {
			fails: verify.ErrNotRestored, tamper: func(_ *audittest.Log, l *memoryLedger) { l.partitions = l.partitions[:3] },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, ledger := several(t, rings, lamps, nil, renamed(rings, "vase"))
			if products(ledger, 1) != "lamp" {
				t.Fatal("the log sells no lamps")
			}
			if c.tamper != nil {
				c.tamper(log, ledger)
			}
			found, err := verify.Run(t.Context(), verify.Config{History: &audit.History{Log: log}, Ledger: ledger, Product: c.product})
			if c.fails != nil {
				if !errors.Is(err, c.fails) {
					t.Fatalf("found %+v, %v; want %v", found, err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var compared []int32
			var records int64
			for _, v := range found.Partitions {
				compared = append(compared, v.Partition)
				records += int64(v.To)
				subject := verify.Subject("")
				if v.FirstDifference != nil {
					subject = v.FirstDifference.Subject
				}
				if subject != c.differs[v.Partition] || v.Equal != (subject == "") {
					t.Errorf("partition %d: found %v, want a difference of %q", v.Partition, v.FirstDifference, c.differs[v.Partition])
				}
			}
			if !slices.Equal(compared, c.compared) || found.Equal != (len(c.differs) == 0) || found.Records != records || records > 0 && found.Decisions == 0 {
				t.Errorf("compared %v: %+v", compared, found)
			}
		})
	}
}
