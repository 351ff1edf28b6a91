package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	progressEvery = time.Second
	longestLine   = 1 << 20 // bytes of a phase
)

// Run is the generator. It reads phases from in, one JSON object a line, does
// them one after the other, and writes lines of JSON to out: about once a
// second {"progress":…}, and at a phase's end {"result":…}, or {"error":"…"}
// where it could not be done. A result with an error beside it is of a phase
// that was cut short. Run ends with in, with ctx, whose error it gives, or when
// nobody reads out any more.
//
// One goroutine outlives Run where in goes on: it reads, and nothing ends that
// but in itself.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	g := &generator{streams: &streams{}, memory: &memory{}, out: json.NewEncoder(out)}
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); g.streams.close() }()

	lines := make(chan []byte)
	read := make(chan error, 1)
	go func() { read <- readLines(ctx, in, lines) }()
	for {
		select {
		case line := <-lines:
			if err := g.take(ctx, line); err != nil {
				return err
			}
		case err := <-read:
			return err
		case <-ctx.Done():
			return fmt.Errorf("load: %w", ctx.Err())
		}
	}
}

// readLines gives each line of in that is not blank, until its end.
func readLines(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, longestLine)
	for scanner.Scan() {
		line := bytes.Clone(bytes.TrimSpace(scanner.Bytes()))
		if len(line) == 0 {
			continue
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return fmt.Errorf("load: %w", ctx.Err())
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("load: reading phases: %w", err)
	}
	return nil
}

// generator is what lives as long as Run. Only Run's goroutine writes to out.
type generator struct {
	streams *streams
	memory  *memory
	out     *json.Encoder
}

// take does the phase in a line. Its error is that nobody hears what came of
// it, or ctx's.
func (g *generator) take(ctx context.Context, text []byte) error {
	phase, err := readPhase(text)
	if err != nil {
		return g.tell(line{Error: err.Error()})
	}
	result, err := g.do(ctx, phase)
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("load: phase %q was interrupted: %w", phase.Do, ctx.Err())
		return errors.Join(err, g.tell(line{Result: &result, Error: err.Error()}))
	case err != nil:
		return g.tell(line{Error: err.Error()})
	}
	return g.tell(line{Result: &result})
}

func (g *generator) tell(l line) error {
	if err := g.out.Encode(l); err != nil {
		return fmt.Errorf("load: telling what came of it: %w", err)
	}
	return nil
}

func readPhase(text []byte) (Phase, error) {
	var phase Phase
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&phase); err != nil {
		return Phase{}, fmt.Errorf("load: not a phase: %w", err)
	}
	if err := phase.Validate(); err != nil {
		return Phase{}, err
	}
	phase.CallTimeout = cmp.Or(phase.CallTimeout, DefaultCallTimeout)
	phase.Patience = cmp.Or(phase.Patience, DefaultPatience)
	if phase.Product != "" {
		phase.Products = []string{phase.Product}
	}
	phase.Follow = cmp.Or(phase.Follow, FollowNone)
	phase.Then = cmp.Or(phase.Then, ThenNone)
	return phase, nil
}

// do does a phase while it reports progress.
func (g *generator) do(ctx context.Context, phase Phase) (Result, error) {
	p := &phaseRun{phase: phase, tally: newTally(phase.Do), memory: g.memory}
	if phase.Do == Click && newArrivals(phase.Arrivals, phase.Buyers).open() {
		p.connect(ctx)
	}
	ended := make(chan error, 1)
	before := cpuSeconds()
	p.began = time.Now()
	var were int
	go func() { ended <- g.work(ctx, p, &were) }()

	every := time.NewTicker(progressEvery)
	defer every.Stop()
	var unheard error // nobody reads: the phase goes on only to end in order
	for {
		select {
		case <-every.C:
			if unheard != nil {
				continue
			}
			progress := p.tally.progress()
			progress.Seconds, progress.Streams = p.elapsed().Seconds(), int(g.streams.open.Load())
			unheard = g.tell(line{Progress: &progress})
		case err := <-ended:
			result := p.tally.total(p.began)
			result.Kept, result.Streams = g.memory.size(), int(g.streams.open.Load())+were
			result.Broken, result.Messages = int(g.streams.broken.Load()), int(g.streams.messages.Load())
			result.CPUSeconds, result.PeakRSSBytes = cpuSeconds()-before, peakRSS()
			if phase.Do == CloseStreams {
				g.streams.reset()
			}
			return result, errors.Join(err, unheard)
		}
	}
}

// work does a phase, and says how many streams it closed.
func (g *generator) work(ctx context.Context, p *phaseRun, closed *int) error {
	var err error
	switch p.phase.Do {
	case Click:
		p.click(ctx)
	case Poll:
		err = p.poll(ctx)
	case Confirm:
		err = p.confirm(ctx)
	case Stream:
		err = p.stream(ctx, g.streams)
	case CloseStreams:
		*closed = g.streams.close()
	case Forget:
		g.memory.forget()
	}
	if err != nil {
		return fmt.Errorf("load: phase %q: %w", p.phase.Do, err)
	}
	return nil
}
