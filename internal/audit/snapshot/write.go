package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// line is one line of a file: one of its members is there. The last line, and
// no other, is the state.
type line struct {
	Request *sale.Request `json:"request,omitzero"`
	Result  *sale.Result  `json:"result,omitzero"`
	State   *state        `json:"state,omitzero"`
}

// state is what is left of a partition beside its rows.
type state struct {
	Format        int         `json:"format"`
	Log           string      `json:"log"` // the topic's id
	Partition     int32       `json:"partition"`
	Next          sale.Offset `json:"next"`
	Now           sale.Time   `json:"now"`
	Schema        int         `json:"schema"`
	Malformed     int64       `json:"malformed"`
	Sales         []sale.Sale `json:"sales"`
	Starts        sale.Starts `json:"starts"`
	Last          string      `json:"last_digest"` // in hexadecimal, as all below
	RecordChain   string      `json:"record_digest"`
	DecisionChain string      `json:"decision_digest"`
	ChainStart    sale.Offset `json:"chain_start"`

	// How many lines come before, by kind.
	Requests int64 `json:"requests"`
	Results  int64 `json:"results"`
}

const format = 1

// kept is how many snapshots of a partition stay: the latest, and those before
// for when the ledger is put back to an earlier time.
const kept = 3

// Folder keeps snapshots in a folder.
type Folder struct {
	path string
}

var (
	_ audit.Keeper    = Folder{}
	_ audit.Snapshots = Folder{}
)

// In gives the folder at a path. It is made when something is kept in it.
func In(path string) Folder { return Folder{path: path} }

func (f Folder) of(topic event.TopicID) string { return filepath.Join(f.path, topic.String()) }

// Keep implements [audit.Keeper]. The snapshot is in a file of another name
// until it is done.
func (f Folder) Keep(topic event.TopicID, partition int32) (audit.Keeping, error) {
	folder := f.of(topic)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of snapshots: %w", err)
	}
	file, err := os.CreateTemp(folder, fmt.Sprintf(".%d-*", partition))
	if err != nil {
		return nil, fmt.Errorf("making a snapshot: %w", err)
	}
	compressor, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a snapshot: %w", err), file.Close(), os.Remove(file.Name()))
	}
	return &keeping{folder: f, topic: topic, partition: partition, file: file, compressor: compressor, to: bufio.NewWriter(compressor)}, nil
}

// keeping is a snapshot in the making.
type keeping struct {
	folder            Folder
	topic             event.TopicID
	partition         int32
	file              *os.File
	compressor        *zstd.Encoder
	to                *bufio.Writer
	requests, results int64
}

// Request implements [audit.Keeping].
func (k *keeping) Request(row sale.Request) error {
	k.requests++
	return k.write(line{Request: &row})
}

// Result implements [audit.Keeping].
func (k *keeping) Result(row sale.Result) error {
	k.results++
	return k.write(line{Result: &row})
}

func (k *keeping) write(l line) error {
	err := json.MarshalWrite(k.to, l)
	if err == nil {
		err = k.to.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}

// Done implements [audit.Keeping].
func (k *keeping) Done(at audit.State) (err error) {
	defer func() {
		if err != nil {
			k.Drop()
		}
	}()
	err = k.write(line{State: &state{
		Format: format, Log: k.topic.String(), Partition: k.partition,
		Next: at.Core.Next(), Now: at.Core.Now(), Schema: at.Core.Schema(), Malformed: at.Core.Malformed(),
		Sales: at.Core.Sales(), Starts: at.Core.Starts(),
		Last: at.Last.String(), RecordChain: at.RecordChain.String(), DecisionChain: at.DecisionChain.String(), ChainStart: at.ChainStart,
		Requests: k.requests, Results: k.results,
	}})
	if err != nil {
		return err
	}
	for _, finish := range []func() error{
		k.to.Flush, k.compressor.Close, k.file.Sync, k.file.Close,
		func() error { return os.Chmod(k.file.Name(), 0o644) },
		func() error {
			return os.Rename(k.file.Name(), filepath.Join(k.folder.of(k.topic), fileName(k.partition, at.Core.Next())))
		},
	} {
		if err := finish(); err != nil {
			return fmt.Errorf("finishing a snapshot: %w", err)
		}
	}
	return k.folder.prune(k.topic, k.partition)
}

// Drop implements [audit.Keeping].
func (k *keeping) Drop() {
	_ = k.compressor.Close() // nothing of it is kept
	_ = k.file.Close()
	_ = os.Remove(k.file.Name())
}

// prune removes the oldest snapshots of a partition.
func (f Folder) prune(topic event.TopicID, partition int32) error {
	offsets, err := f.offsets(topic, partition)
	if err != nil {
		return err
	}
	for len(offsets) > kept {
		if err := os.Remove(filepath.Join(f.of(topic), fileName(partition, offsets[0]))); err != nil {
			return fmt.Errorf("removing an old snapshot: %w", err)
		}
		offsets = offsets[1:]
	}
	return nil
}
