package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// How long a generator may take to end when its input has ended.
const endWait = 5 * time.Second

// line is a line of a generator's output. A phase ends with a result or an
// error; a result may stand beside the error that cut it short.
type line struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// Driver runs phases in a generator's process. Its methods are called from one
// goroutine. It owns the process and a goroutine that reads what the process
// says; both end with Close.
type Driver struct {
	command *exec.Cmd
	input   io.WriteCloser
	lines   chan line
	done    chan struct{} // closed when the reader has ended
	readErr error         // why the reader ended; to be read after done
	end     sync.Once
	ended   error // what end brought
}

// Start starts a process that calls [Run] on its standard streams. Standard
// error is the command's own. The process ends with Close, and when ctx does
// where the command was made with it.
func Start(ctx context.Context, command *exec.Cmd) (*Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting the load generator: %w", err)
	}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the load generator: %w", err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the load generator: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the load generator: %w", err)
	}
	d := &Driver{command: command, input: input, lines: make(chan line), done: make(chan struct{})}
	go d.read(output)
	return d, nil
}

// PID is the generator's process.
func (d *Driver) PID() int { return d.command.Process.Pid }

// read ends at the end of the process's output. What comes while nobody runs a
// phase waits in the pipe.
func (d *Driver) read(output io.Reader) {
	defer close(d.done)
	defer close(d.lines)
	for decoder := json.NewDecoder(output); ; {
		var l line
		if err := decoder.Decode(&l); err != nil {
			d.readErr = err
			return
		}
		d.lines <- l
	}
}

// Run runs a phase and gives its result. progress, which may be nil, is called
// about once a second by this goroutine. When ctx ends the process is ended,
// and the driver is of no use any more.
func (d *Driver) Run(ctx context.Context, phase Phase, progress func(Progress)) (Result, error) {
	if err := phase.Validate(); err != nil {
		return Result{}, err
	}
	encoded, err := json.Marshal(phase)
	if err != nil {
		return Result{}, fmt.Errorf("load: encoding a phase: %w", err)
	}
	if _, err := d.input.Write(append(encoded, '\n')); err != nil {
		return Result{}, fmt.Errorf("load: telling the generator a phase: %w", err)
	}
	for {
		select {
		case l, open := <-d.lines:
			switch {
			case !open:
				return Result{}, fmt.Errorf("load: the generator ended in a phase: %w", errors.Join(d.readErr, d.Close()))
			case l.Result != nil && l.Error != "":
				return *l.Result, fmt.Errorf("load: phase %q: %s", phase.Do, l.Error)
			case l.Result != nil:
				return *l.Result, nil
			case l.Error != "":
				return Result{}, fmt.Errorf("load: phase %q: %s", phase.Do, l.Error)
			case l.Progress != nil && progress != nil:
				progress(*l.Progress)
			}
		case <-ctx.Done():
			_ = d.command.Process.Kill() // it may be gone already
			_ = d.Close()                // killed, it has nothing to say
			return Result{}, fmt.Errorf("load: phase %q: %w", phase.Do, ctx.Err())
		}
	}
}

// Close ends the process, and gives an error if it did not end well. To close
// twice is the same as once.
func (d *Driver) Close() error {
	d.end.Do(func() { d.ended = d.close() })
	return d.ended
}

func (d *Driver) close() error {
	_ = d.input.Close() // its end is what the generator waits for
	kill := time.AfterFunc(endWait, func() { _ = d.command.Process.Kill() })
	defer kill.Stop()
	for range d.lines { // else the reader would wait for a taker
	}
	<-d.done
	if err := d.command.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("load: the generator: %w", err)
	}
	return nil
}
