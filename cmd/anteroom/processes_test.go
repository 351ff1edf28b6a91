package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/lab"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestOwnersDieAndFreeze runs two ingresses and two allocators as processes on
// real backends. While 200,000 shoppers buy, one allocator is killed and
// started again; once it owns partitions, the other is frozen past its session
// and goes on. Whatever happens, the ledger is what the log decides, every
// ticket has one outcome, and no partition stands still for long.
func TestOwnersDieAndFreeze(t *testing.T) {
	const (
		partitions = 4
		buyers     = 50_000 // of each product
		units      = 300    // of each product
	)
	w := newWorld(t, devstacktest.Real(t), partitions)
	allocators := []*process{w.start(t, "allocator"), w.start(t, "allocator")}
	ingresses := []*process{w.start(t, "ingress"), w.start(t, "ingress")}
	addresses := []string{ingresses[0].address, ingresses[1].address}

	// One product in each partition, so that every owner is in the thick of it.
	// Nobody pays for the last one's holds: they show that each one has begun.
	products := make([]string, partitions)
	for i := range products {
		products[i] = fmt.Sprintf("product-%d", i)
		partition, everybody := int32(i), int64(buyers) // waits, so that the door refuses nobody
		w.openSale(t, addresses[0], client.NewSale{
			Product: products[i], Quantity: units, HoldSeconds: 3600, Partition: &partition, WaitlistCapacity: &everybody,
		})
		awaitSale(t, addresses, products[i])
	}
	crowds := newCrowds(t, w, addresses, products, buyers)
	stillness := watchStillness(t, w, partitions)

	crowds.awaitClicks(t, 70_000)
	allocators[0].kill()
	t.Log("killed one allocator")
	crowds.awaitClicks(t, 100_000)
	allocators[0].run()
	await(t, "the restarted allocator owning partitions", func() bool { return allocators[0].metric("anteroom_partition_epoch") > 0 })
	t.Log("it owns partitions again")

	owned := allocators[1].metric("anteroom_partition_epoch")
	allocators[1].signal(syscall.SIGSTOP)
	t.Log("froze the other one")
	wait(t, 12*time.Second) // past its session of 8 s
	allocators[1].signal(syscall.SIGCONT)
	t.Logf("it goes on; its epochs added up to %v before", owned)

	for i, result := range crowds.wait(t) {
		t.Logf("%s: %+v", products[i], result)
		if result.Undecided != 0 || result.MultipleOutcomes != 0 || result.PositionRises != 0 {
			t.Errorf("%s: a shopper was told wrong: %+v", products[i], result)
		}
		if len(result.Refused) != 0 {
			t.Errorf("%s: shoppers were refused: %v", products[i], result.Refused)
		}
		if want := units; i < partitions-1 && result.Sold != want {
			t.Errorf("%s: %d sold, want %d", products[i], result.Sold, want)
		}
	}
	if longest := stillness(); longest > 15*time.Second {
		t.Errorf("a partition stood still for %s", longest)
	} else {
		t.Logf("no partition stood still for more than %s", longest)
	}
	w.checkHolds(t, partitions, units)
}

// checkHolds proves the ledger and that all holds have begun.
func (w *world) checkHolds(t *testing.T, partitions int32, units int64) {
	t.Helper()
	for _, p := range w.proveLedger(t, partitions) {
		t.Logf("partition %d: %d records replayed, the ledger agrees", p.partition, p.records)
		for _, s := range p.sales {
			if s.Held+s.Confirmed != units || s.Available != 0 {
				t.Errorf("partition %d: %d held and %d confirmed of %d units", p.partition, s.Held, s.Confirmed, units)
			}
		}
		if since, ok := p.core.OldestUnstarted(); ok {
			t.Errorf("partition %d: the hold of %d never began", p.partition, since)
		}
		for offset, row := range p.rows {
			if row.HeldSince != sale.None && row.State == sale.Held && !p.started[offset] {
				t.Errorf("partition %d: the hold of request %d never began", p.partition, offset)
			}
		}
	}
}

// wait lets time pass for a process outside that is to miss it: there is no
// condition to wait for.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// crowds are one crowd for each product, at the same time.
type crowds struct {
	done    sync.WaitGroup
	mu      sync.Mutex
	clicked []int64
	results []lab.Result
	errs    []error
}

func newCrowds(t *testing.T, w *world, addresses, products []string, buyers int) *crowds {
	c := &crowds{clicked: make([]int64, len(products)), results: make([]lab.Result, len(products)), errs: make([]error, len(products))}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	for i, product := range products {
		config := lab.Config{
			Addresses: addresses, Product: product, Buyers: buyers, Connections: 32, MaxWaiting: 50_000,
			Follow: 2, MaxStreams: 50, Crowd: fmt.Sprintf("%s-%d", product, i), MerchantToken: w.secrets.MerchantToken, Patience: 5 * time.Minute,
		}
		if i == len(products)-1 {
			config.MerchantToken = ""
		}
		c.done.Go(func() {
			result, err := sendCrowd(ctx, config, func(p lab.Progress) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.clicked[i] = p.Clicked
			})
			c.mu.Lock()
			defer c.mu.Unlock()
			c.results[i], c.errs[i] = result, err
		})
	}
	t.Cleanup(func() {
		cancel()
		c.done.Wait()
	})
	return c
}

// sendCrowd runs a crowd in a process of its own, without the race detector.
func sendCrowd(ctx context.Context, config lab.Config, report func(lab.Progress)) (lab.Result, error) {
	path, err := program()
	if err != nil {
		return lab.Result{}, err
	}
	crowd := exec.CommandContext(ctx, path, "crowd", "--addresses", strings.Join(config.Addresses, ","),
		"--product", config.Product, "--buyers", strconv.Itoa(config.Buyers), "--connections", strconv.Itoa(config.Connections),
		"--waiting", strconv.Itoa(config.MaxWaiting), "--follow", strconv.Itoa(config.Follow), "--streams", strconv.Itoa(config.MaxStreams),
		"--name", config.Crowd, "--patience", config.Patience.String())
	crowd.Env = append(os.Environ(), "ANTEROOM_MERCHANT_TOKEN="+config.MerchantToken)
	var trouble strings.Builder
	crowd.Stderr = &trouble
	lines, err := crowd.StdoutPipe()
	if err != nil {
		return lab.Result{}, err
	}
	if err := crowd.Start(); err != nil {
		return lab.Result{}, err
	}
	var result lab.Result
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		var line crowdLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			continue // the process's end says what is wrong
		}
		if line.Progress != nil {
			report(*line.Progress)
		}
		if line.Result != nil {
			result = *line.Result
		}
	}
	if err := crowd.Wait(); err != nil {
		return lab.Result{}, fmt.Errorf("the crowd's process: %w: %s", err, trouble.String())
	}
	return result, nil
}

// awaitClicks waits until as many have clicked, in all crowds together. It may
// take long, as long as there are ever more.
func (c *crowds) awaitClicks(t *testing.T, clicks int64) {
	t.Helper()
	for sum := c.clicks(); sum < clicks; {
		before := sum
		await(t, fmt.Sprintf("more than %d clicks of %d", before, clicks), func() bool {
			sum = c.clicks()
			return sum > before
		})
	}
}

func (c *crowds) clicks() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := int64(0)
	for _, n := range c.clicked {
		sum += n
	}
	return sum
}

func (c *crowds) wait(t *testing.T) []lab.Result {
	t.Helper()
	c.done.Wait()
	for _, err := range c.errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c.results
}

// watchStillness looks at every partition's watermark again and again. The
// function that it gives ends that, and says for how long one of them stood
// still at most while records waited behind it.
func watchStillness(t *testing.T, w *world, partitions int32) func() time.Duration {
	t.Helper()
	log, err := kafka.Open(t.Context(), w.kafkaConfig(0))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	longest := make(chan time.Duration, 1)
	go func() {
		defer func() { _ = log.Close(context.Background()) }()
		longest <- longestStandstill(ctx, w, log, partitions)
	}()
	stop := sync.OnceValue(func() time.Duration {
		cancel()
		return <-longest
	})
	t.Cleanup(func() { stop() })
	return stop
}

// longestStandstill watches until ctx is done. What cannot be read counts as
// standing still.
func longestStandstill(ctx context.Context, w *world, log *kafka.Log, partitions int32) time.Duration {
	type place struct {
		watermark sale.Offset
		since     time.Time // when it was last seen to move, or with nothing behind it
		waits     bool      // records do, behind the watermark
	}
	places := make([]place, partitions)
	for i := range places {
		places[i] = place{watermark: sale.None, since: time.Now(), waits: true}
	}
	var most time.Duration
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	for {
		for partition := range partitions {
			found, err := w.reader.Request(ctx, partition, 0)
			if err != nil {
				continue
			}
			_, end, err := log.Bounds(ctx, partition)
			if err != nil {
				continue
			}
			p, now := &places[partition], time.Now()
			moved, waits := found.Watermark != p.watermark, end > found.Watermark
			if moved {
				most = max(most, now.Sub(p.since))
			}
			if moved || !waits {
				p.watermark, p.since = found.Watermark, now
			}
			p.waits = waits
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			for _, p := range places {
				if p.waits {
					most = max(most, time.Since(p.since))
				}
			}
			return most
		}
	}
}
