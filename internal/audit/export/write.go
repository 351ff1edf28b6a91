package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// bufferSize is how many bytes of an export are written at once.
const bufferSize = 1 << 20

// Write writes the extents in the format of [Format]. An extent of From 0
// is replayed from the beginning, whatever snapshots there are.
func Write(ctx context.Context, h *audit.History, extents []audit.Extent, program string, to io.Writer) error {
	w := newWriter(to)
	head := &headLine{Format: Format, Log: h.Log.Topic().String(), Program: program}
	for _, extent := range extents {
		head.Partitions = append(head.Partitions, partitionEnd{Partition: extent.Partition, To: extent.To})
	}
	if err := w.write(line{Export: head}); err != nil {
		return err
	}
	err := h.Replay(ctx, extents, func(audit.Extent) audit.Visitor { return &partitionWriter{writer: w} })
	if err != nil {
		return err
	}
	return w.end()
}

// writer writes lines and sums them up.
type writer struct {
	out  *bufio.Writer
	sum  hash.Hash
	json *jsontext.Encoder
}

func newWriter(to io.Writer) *writer {
	w := &writer{out: bufio.NewWriterSize(to, bufferSize), sum: sha256.New()}
	w.json = jsontext.NewEncoder(io.MultiWriter(w.out, w.sum))
	return w
}

func (w *writer) write(l line) error {
	if err := json.MarshalEncode(w.json, &l); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}

func (w *writer) end() error {
	if err := w.write(line{Done: &doneLine{SHA256: hexDigest(w.sum.Sum(nil))}}); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}

// partitionWriter writes a partition.
type partitionWriter struct {
	*writer
	records   int64
	decisions []decision
	before    int64 // decisions that the replay made before
}

// Begin implements [audit.Visitor].
func (v *partitionWriter) Begin(r *audit.Replay) error {
	v.before = r.Decisions()
	state := r.State()
	begin := &beginLine{
		Partition: r.Partition(), From: r.Core().Next(),
		RecordDigest: hexDigest(state.RecordChain), DecisionDigest: hexDigest(state.DecisionChain), ChainStart: state.ChainStart,
	}
	if begin.From > 0 {
		begin.State = coreStateOf(r.Core().Snapshot())
	}
	return v.write(line{Begin: begin})
}

// Step implements [audit.Visitor].
func (v *partitionWriter) Step(r *audit.Replay, s audit.Step) error {
	v.records++
	v.decisions = v.decisions[:0]
	for i := range s.Decisions {
		v.decisions = append(v.decisions, decisionOf(&s.Decisions[i]))
	}
	record := recordLine{Partition: r.Partition(), Mark: markOf(s.RecordChain), Decisions: v.decisions}
	record.setEntry(s.Entry)
	return v.write(line{Record: &record})
}

// End implements [audit.Visitor].
func (v *partitionWriter) End(r *audit.Replay) error {
	for _, s := range salesOf(r.Core()) {
		if err := v.write(line{Sale: &saleLine{Partition: r.Partition(), Counts: s}}); err != nil {
			return err
		}
	}
	state := r.State()
	return v.write(line{End: &endLine{
		Partition: r.Partition(), Next: r.Core().Next(), Records: v.records, Decisions: r.Decisions() - v.before,
		RecordDigest: hexDigest(state.RecordChain), DecisionDigest: hexDigest(state.DecisionChain),
	}})
}

// salesOf gives all of a core's sales by their ids.
func salesOf(core *sale.Partition) []sale.Sale { return core.Snapshot().Sales }
