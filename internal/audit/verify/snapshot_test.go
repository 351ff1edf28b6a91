package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/internal/audit/snapshot"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// keptRun is a log whose ledger was verified and kept at one offset, and has
// gone on to another.
type keptRun struct {
	run
	at      sale.Offset
	folder  string
	history *audit.History
	log     *audittest.Log
}

func drawKept(t *rapid.T, folder string) keptRun {
	entries := saletest.Entries(saletest.Log(t))
	at := sale.Offset(rapid.IntRange(1, len(entries)).Draw(t, "kept at"))
	end := sale.Offset(rapid.IntRange(int(at), len(entries)).Draw(t, "decided"))
	cuts := rapid.SliceOfN(rapid.IntRange(0, 5), len(entries), len(entries)).Draw(t, "cuts at 0")
	cut := func(i int) bool { return cuts[i] == 0 || sale.Offset(i+1) == at }
	k := keptRun{
		run: run{entries: entries, end: end, ledger: fold(t, entries, end, cut)},
		at:  at, folder: folder, log: &audittest.Log{Entries: [][]event.Entry{entries}, Portion: 7},
	}
	k.history = &audit.History{Log: k.log}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	found, err := verify.Run(context.Background(), verify.Config{
		History: k.history, Ledger: fold(t, entries, at, cut), Keep: snapshot.In(folder),
	})
	if err != nil || !found.Equal {
		t.Fatal(found, err)
	}
	return k
}

// truncate removes what comes before an offset from the log.
func (k *keptRun) truncate(start sale.Offset) {
	k.log.Start, k.log.Entries[0] = start, k.entries[start:]
}

func (k *keptRun) verify(t fataler, ledger *memoryLedger) verify.Verdict {
	t.Helper()
	history := *k.history
	history.Snapshots = snapshot.In(k.folder)
	found, err := verify.Run(context.Background(), verify.Config{History: &history, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	return found.Partitions[0]
}

// TestReplayFromASnapshot equals one from the start, also when the records that
// it stands for are gone.
func TestReplayFromASnapshot(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "snapshots")
	rapid.Check(t, func(t *rapid.T) {
		k := drawKept(t, folder)
		whole := verdictOf(t, k.entries, k.ledger)
		k.truncate(sale.Offset(rapid.IntRange(0, min(int(k.at), len(k.entries)-1)).Draw(t, "start")))
		verdict := k.verify(t, k.ledger)
		if !verdict.Equal {
			t.Fatalf("kept at %d of %d: found %s", k.at, k.end, verdict.FirstDifference)
		}
		if verdict.From != k.at {
			t.Fatalf("the replay began at %d, the snapshot is of %d", verdict.From, k.at)
		}
		verdict.From = whole.From
		if verdict != whole {
			t.Fatalf("from the snapshot %+v, from the start %+v", verdict, whole)
		}
		if k.log.Start == 0 {
			return
		}
		_, err := verify.Run(context.Background(), verify.Config{History: k.history, Ledger: k.ledger})
		if !errors.Is(err, audit.ErrTruncated) {
			t.Fatalf("without the snapshot a log that begins at %d gives %v", k.log.Start, err)
		}
	})
}

// TestTamperingIsFoundFromASnapshot in rows of before it, and in rows and
// records of after.
func TestTamperingIsFoundFromASnapshot(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "snapshots")
	rapid.Check(t, func(t *rapid.T) {
		k := drawKept(t, folder)
		if k.at < k.end && rapid.Bool().Draw(t, "a record") {
			at := sale.Offset(rapid.IntRange(int(k.at), int(k.end)-1).Draw(t, "at"))
			tampered := slices.Clone(k.entries)
			tampered[at].Key = append(slices.Clone(tampered[at].Key), 'x')
			k.log.Entries[0] = tampered
			if found := k.verify(t, k.ledger).FirstDifference; found == nil || found.Offset != at || found.Subject != verify.OfRecord {
				t.Fatalf("record %d: found %v", at, found)
			}
			return
		}
		l := k.ledger.copied()
		subject, name := tamper(t, l)
		if subject == "" {
			t.Skip("there is no such row")
		}
		found := k.verify(t, l).FirstDifference
		if subject == verify.OfBatch && found == nil {
			// Of batches before the snapshot only their places and the last heads
			// can be compared.
			return
		}
		if found == nil || found.Subject != subject || name != "" && found.Name != name {
			t.Fatalf("%s %s: found %v", subject, name, found)
		}
	})
}

// honest is a small run that was kept.
func honest(t *testing.T, folder string) (*audit.History, *memoryLedger, sale.Offset) {
	t.Helper()
	entries := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	end := sale.Offset(len(entries))
	ledger := fold(t, entries, end, func(i int) bool { return i%4 == 3 })
	history := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Portion: 100}}
	found, err := verify.Run(t.Context(), verify.Config{History: history, Ledger: ledger, Keep: snapshot.In(folder)})
	if err != nil || !found.Equal {
		t.Fatal(found, err)
	}
	return history, ledger, end
}

// TestDamagedSnapshots are errors: every byte changed, unless it changes nothing
// of what is read, and every end cut off.
func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, _, end := honest(t, folder)
	path := onlyFile(t, folder)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	load := func(content []byte) (string, error) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		state, found, err := snapshot.In(folder).Newest(topic, 0, 0, end)
		if err != nil {
			return "", err
		}
		if !found {
			t.Fatal("the file was not found")
		}
		all := []any{state.Core.Snapshot(), state.Last, state.RecordChain, state.DecisionChain, state.ChainStart}
		err = errors.Join(
			state.Kept.Requests(func(row sale.Request) error { all = append(all, row); return nil }),
			state.Kept.Results(func(row sale.Result) error { all = append(all, row); return nil }))
		return fmt.Sprintf("%+v", all), err
	}
	right, err := load(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 0x10
		if read, err := load(damaged); err == nil && read != right {
			t.Errorf("byte %d of %d changed: it was read as\n%s, not\n%s", i, len(whole), read, right)
		}
		if _, err := load(whole[:i]); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("cut off after %d of %d bytes: %v", i, len(whole), err)
		}
	}
}

// TestSnapshotsOfOthers are not taken: of another partition, log, or offset.
func TestSnapshotsOfOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, _, end := honest(t, folder)
	of := snapshot.In(folder)
	for name, ask := range map[string]func() (audit.State, bool, error){
		"another log":       func() (audit.State, bool, error) { return of.Newest(event.TopicID{1}, 0, 0, end) },
		"another partition": func() (audit.State, bool, error) { return of.Newest(topic, 1, 0, end) },
		"too late":          func() (audit.State, bool, error) { return of.Newest(topic, 0, 0, end-1) },
		"too early":         func() (audit.State, bool, error) { return of.Newest(topic, 0, end+1, end+2) },
		"no folder":         func() (audit.State, bool, error) { return snapshot.In(folder+"x").Newest(topic, 0, 0, end) },
	} {
		if _, found, err := ask(); found || err != nil {
			t.Errorf("%s: found %t, %v", name, found, err)
		}
	}
	path := onlyFile(t, folder)
	renamed := filepath.Join(filepath.Dir(path), "0-1.jsonl.zst")
	if err := os.Rename(path, renamed); err != nil {
		t.Fatal(err)
	}
	if _, _, err := of.Newest(topic, 0, 0, end); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("a file under another one's name: %v", err)
	}
}

// TestOnlyEqualStatesAreKept, and the latest three of them.
func TestOnlyEqualStatesAreKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	entries := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	history := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Portion: 100}}
	for end := sale.Offset(1); end <= 6; end++ {
		ledger := fold(t, entries, end, func(int) bool { return false })
		if end == 5 {
			ledger.partitions[0].Malformed++
		}
		if _, err := verify.Run(t.Context(), verify.Config{History: history, Ledger: ledger, Keep: snapshot.In(folder)}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	if want := []string{"0-3.jsonl.zst", "0-4.jsonl.zst", "0-6.jsonl.zst"}; !slices.Equal(names, want) {
		t.Errorf("kept are %v, want %v", names, want)
	}
	hidden, err := filepath.Glob(filepath.Join(folder, "*", ".*"))
	if err != nil || len(hidden) > 0 {
		t.Errorf("left behind: %v, %v", hidden, err)
	}
}

func onlyFile(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0]
}

// TestSnapshotsOfOtherChains: a ledger whose chains begin elsewhere than a
// snapshot's is compared all the same. It has been upgraded since the snapshot
// was kept, or was rebuilt from the start. A snapshot at 1 is always there.
func TestSnapshotsOfOtherChains(t *testing.T) {
	t.Parallel()
	entries := golden(t, "waitlist-first-waiter-gets-the-freed-unit")
	end := sale.Offset(len(entries))
	every := func(int) bool { return true }
	for _, c := range []struct {
		kept, at, chains, begins sale.Offset
	}{
		{kept: 2, at: 4, chains: 2, begins: 4},
		{kept: 0, at: 4, chains: 5, begins: 4},
		{kept: 0, at: 4, chains: 4, begins: 4},
		{kept: 0, at: 4, chains: 3, begins: 1}, // of which the chains are still to come
		{kept: 3, at: 4, chains: 0, begins: 1},
		{kept: 2, at: 2, chains: 0, begins: 1},
	} {
		history := &audit.History{Log: &audittest.Log{Entries: [][]event.Entry{entries}, Portion: 100}}
		folder := snapshot.In(t.TempDir())
		for end, chains := range map[sale.Offset]sale.Offset{c.at: c.kept, 1: 0} {
			kept, err := verify.Run(t.Context(), verify.Config{History: history, Ledger: foldUpgraded(t, entries, end, min(chains, end), every), Keep: folder})
			if err != nil || !kept.Equal {
				t.Fatal(kept, err)
			}
		}
		history.Snapshots = folder
		found, err := verify.Run(t.Context(), verify.Config{History: history, Ledger: foldUpgraded(t, entries, end, c.chains, every)})
		if err != nil {
			t.Fatal(err)
		}
		verdict := found.Partitions[0]
		if !verdict.Equal || verdict.From != c.begins {
			t.Errorf("%+v: the replay begins at %d and finds %v", c, verdict.From, verdict.FirstDifference)
		}
	}
}

// TestBatchesBeforeASnapshot: none is missing or too many, and those that end
// where it was taken have its heads. One may have gone on beyond it, in a ledger
// that was rebuilt.
func TestBatchesBeforeASnapshot(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "snapshots")
	rapid.Check(t, func(t *rapid.T) {
		k := drawKept(t, folder)
		cuts := rapid.SliceOfN(rapid.IntRange(0, 2), len(k.entries), len(k.entries)).Draw(t, "other cuts at 0")
		l := fold(t, k.entries, k.end, func(i int) bool { return cuts[i] == 0 })
		if found := k.verify(t, l).FirstDifference; found != nil {
			t.Fatalf("found %v", found)
		}
		before := 0
		for before < len(l.batches[0]) && l.batches[0][before].From < k.at {
			before++
		}
		at := rapid.IntRange(0, before-1).Draw(t, "batch")
		row := &l.batches[0][at]
		want := place{offset: row.From, subject: verify.OfBatch, name: nameOf(*row), count: 1}
		switch rapid.SampledFrom([]string{"removed", "twice", "records", "decisions", "a record"}).Draw(t, "how") {
		case "removed":
			want.name = ""
			l.batches[0] = slices.Delete(l.batches[0], at, at+1)
		case "twice":
			l.batches[0] = slices.Insert(l.batches[0], at, *row)
		case "records":
			if row.RecordChain[9] ^= 1; row.To < k.at {
				t.Skip("only the last heads can be compared")
			}
		case "decisions":
			if row.DecisionChain[9] ^= 1; row.To < k.at {
				t.Skip("only the last heads can be compared")
			}
		case "a record":
			if row = &l.batches[0][before-1]; row.To <= k.at {
				t.Skip("none goes on beyond")
			}
			want = place{offset: k.at, subject: verify.OfRecord, count: 0}
			k.log.Entries[0] = slices.Clone(k.entries)
			k.log.Entries[0][k.at].Time++
		}
		want.check(t, k.verify(t, l))
	})
}
