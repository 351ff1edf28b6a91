package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// ErrDamaged means that a file is not what was written as a snapshot.
var ErrDamaged = errors.New("the snapshot is damaged; remove it, or put the right one in its place")

const suffix = ".jsonl.zst"

func fileName(partition int32, next sale.Offset) string {
	return fmt.Sprintf("%d-%d%s", partition, next, suffix)
}

// offsets gives where a partition's snapshots were taken, in order.
func (f Folder) offsets(topic event.TopicID, partition int32) ([]sale.Offset, error) {
	entries, err := os.ReadDir(f.of(topic))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for snapshots: %w", err)
	}
	var offsets []sale.Offset
	for _, entry := range entries {
		number := strings.TrimSuffix(strings.TrimPrefix(entry.Name(), strconv.Itoa(int(partition))+"-"), suffix)
		next, err := strconv.ParseInt(number, 10, 64)
		if err == nil && next >= 0 && entry.Name() == fileName(partition, sale.Offset(next)) {
			offsets = append(offsets, sale.Offset(next))
		}
	}
	slices.Sort(offsets)
	return offsets, nil
}

// Newest implements [audit.Snapshots].
func (f Folder) Newest(topic event.TopicID, partition int32, least, most sale.Offset) (audit.State, bool, error) {
	offsets, err := f.offsets(topic, partition)
	if err != nil {
		return audit.State{}, false, err
	}
	for _, next := range slices.Backward(offsets) {
		if next < least || next > most {
			continue
		}
		path := filepath.Join(f.of(topic), fileName(partition, next))
		state, err := load(path, topic, partition, next)
		if err != nil {
			return audit.State{}, false, fmt.Errorf("reading the snapshot %s: %w", path, err)
		}
		return state, true, nil
	}
	return audit.State{}, false, nil
}

// load reads a whole file, and restores the core from the rows that it needs.
func load(path string, topic event.TopicID, partition int32, next sale.Offset) (audit.State, error) {
	var needed []sale.Request
	var end *state
	var requests, results int64
	err := scan(path, func(l *line) error {
		switch {
		case end != nil:
			return fmt.Errorf("something follows its end: %w", ErrDamaged)
		case l.Request != nil:
			requests++
			if needs(l.Request) {
				needed = append(needed, *l.Request)
			}
		case l.Result != nil:
			results++
		case l.State != nil:
			end = l.State
		}
		return nil
	})
	if err != nil {
		return audit.State{}, err
	}
	switch {
	case end == nil, end.Requests != requests, end.Results != results:
		return audit.State{}, fmt.Errorf("it is cut short: %w", ErrDamaged)
	case end.Format != format:
		return audit.State{}, fmt.Errorf("it has format %d, this program knows %d", end.Format, format)
	case end.Log != topic.String(), end.Partition != partition, end.Next != next:
		return audit.State{}, fmt.Errorf("it is of offset %d of partition %d of log %s: %w", end.Next, end.Partition, end.Log, ErrDamaged)
	}
	core, err := sale.Restore(sale.Snapshot{
		Next: end.Next, Now: end.Now, Schema: end.Schema, Malformed: end.Malformed,
		Sales: end.Sales, Requests: needed, Starts: end.Starts,
	})
	if errors.Is(err, sale.ErrSchemaTooNew) {
		return audit.State{}, err
	}
	if err != nil {
		return audit.State{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	at := audit.State{Core: core, ChainStart: end.ChainStart, Kept: file(path)}
	for _, digest := range []struct {
		text string
		into *event.Digest
	}{{end.Last, &at.Last}, {end.RecordChain, &at.RecordChain}, {end.DecisionChain, &at.DecisionChain}} {
		if *digest.into, err = event.ParseDigest(digest.text); err != nil {
			return audit.State{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return at, nil
}

// needs reports whether the core has to know of a row. What was refused for good
// takes part in nothing.
func needs(row *sale.Request) bool {
	return row.State != sale.SoldOut && (row.State != sale.Rejected || row.Reason == sale.ReasonDuplicate)
}

// file is where the rows of a snapshot are.
type file string

// Requests implements [audit.Kept].
func (f file) Requests(each func(sale.Request) error) error {
	return scan(string(f), func(l *line) error {
		if l.Request == nil {
			return nil
		}
		return each(*l.Request)
	})
}

// Results implements [audit.Kept].
func (f file) Results(each func(sale.Result) error) error {
	return scan(string(f), func(l *line) error {
		if l.Result == nil {
			return nil
		}
		return each(*l.Result)
	})
}

// maxLine is more than any line is long, but that of the state, which has a
// partition's sales.
const maxLine = 1 << 30

// scan gives a file's lines.
func scan(path string, each func(*line) error) (err error) {
	opened, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	plain, err := zstd.NewReader(opened, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxLine))
	if err != nil {
		return fmt.Errorf("decompressing: %w", err)
	}
	defer plain.Close()
	lines := bufio.NewReaderSize(plain, 1<<16)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		var l line
		if err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := each(&l); err != nil {
			return err
		}
	}
}
