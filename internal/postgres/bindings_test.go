package postgres

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

func newBindings(t testing.TB, url string) *Bindings {
	t.Helper()
	bindings, err := NewBindings(t.Context(), Config{URL: url})
	check(t, err)
	t.Cleanup(bindings.Close)
	return bindings
}

func TestBindIsForEver(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 3)
		bindings := newBindings(t, b.PostgresURL)
		bind := func(product sale.Product, wanted int32, want int32, wantErr error) {
			t.Helper()
			var asked *int32
			if wanted >= 0 {
				asked = &wanted
			}
			got, err := bindings.Bind(t.Context(), product, asked)
			if !errors.Is(err, wantErr) || (err == nil && got != want) {
				t.Errorf("binding %s to %d: %d, %v; want %d, %v", product, wanted, got, err, want, wantErr)
			}
		}
		bind("tea", -1, 0, nil)
		open(t, b.PostgresURL, 0, "tea")
		bind("cup", -1, 1, nil) // partition 0 has an open sale
		bind("tea", -1, 0, nil)
		bind("tea", 0, 0, nil)
		bind("tea", 2, 0, ingress.ErrBound)
		bind("pot", 2, 2, nil)
		bind("pot", -1, 2, nil)
		bind("jar", 3, 0, ingress.ErrNoSuchPartition)
		open(t, b.PostgresURL, 1, "cup")
		bind("jar", -1, 2, nil)

		// Partition 3 is lost: its products' bindings may be, too.
		_, err := PartitionRows(t.Context(), b.PostgresURL, testTopic(), []Bounds{{Partition: 3, End: 5}})
		check(t, err)
		bind("mug", 3, 0, ingress.ErrNoSuchPartition)
		bind("mug", -1, 0, allocator.ErrRebuilding)
		bind("mug", 0, 0, allocator.ErrRebuilding)
		bind("tea", -1, 0, nil)
	})
}

func TestBindWithoutPartitions(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		migrated(t, b.PostgresURL, 0)
		if _, err := newBindings(t, b.PostgresURL).Bind(t.Context(), "tea", nil); !errors.Is(err, ingress.ErrNoSuchPartition) {
			t.Errorf("%v, want ErrNoSuchPartition", err)
		}
	})
}

// open opens a sale in a partition.
func open(t *testing.T, url string, partition int32, product sale.Product) {
	t.Helper()
	d := drive(t.Context(), t, newOwner(t, url), partition)
	d.apply(sale.Record{Body: sale.Schema{Version: sale.FirstSchema}})
	d.apply(createRecord(product, 1))
	d.commit(t.Context())
}

// TestIngressesRaceToBind: whatever each wants, all are told the same.
func TestIngressesRaceToBind(t *testing.T) {
	t.Parallel()
	devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) {
		const ingresses, products = 4, 15
		migrated(t, b.PostgresURL, ingresses)
		told := make([][ingresses]int32, products)
		var all sync.WaitGroup
		for i := range ingresses {
			bindings := newBindings(t, b.PostgresURL)
			all.Go(func() {
				for n := range products {
					wanted := int32((i + n) % ingresses)
					partition, err := bindings.Bind(t.Context(), sale.Product(fmt.Sprint("product", n)), &wanted)
					if err != nil && (!errors.Is(err, ingress.ErrBound) || partition == wanted) {
						t.Error(err)
					}
					told[n][i] = partition
				}
			})
		}
		all.Wait()
		for n := range told {
			for i := range told[n] {
				if told[n][i] != told[n][0] {
					t.Errorf("product %d belongs to %v", n, told[n])
				}
			}
		}
	})
}
