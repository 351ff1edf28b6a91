//go:build js && wasm

// Command replay checks exports in a browser: it is the core and the audit as
// WebAssembly, for the page in the folder page, whose worker calls it. All that
// it does is in internal/audit; here it is only given to JavaScript.
//
// Every call is answered before it returns, so nothing in here runs beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall/js"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/export"
)

func main() {
	var r replay
	js.Global().Set("anteroom", js.ValueOf(map[string]any{
		"check":   r.function(r.check),
		"courses": r.function(r.courses),
		"at":      r.function(r.at),
	}))
	select {} // the page ends its worker
}

// replay is the export that was given last.
type replay struct {
	timeline *export.Timeline
}

// function makes a function for JavaScript, which gives {"result"} or {"error"}
// as JSON.
func (r *replay) function(call func(arguments []js.Value) (any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, arguments []js.Value) any {
		answer := make(map[string]any)
		result, err := call(arguments)
		if err != nil {
			answer["error"] = err.Error()
		} else {
			answer["result"] = result
		}
		encoded, err := json.Marshal(answer)
		if err != nil {
			return fmt.Sprintf(`{"error":%q}`, err.Error())
		}
		return string(encoded)
	})
}

// check takes a File and a function that is told how many bytes were read. It
// gives an [export.Report].
func (r *replay) check(arguments []js.Value) (any, error) {
	file := newFile(arguments[0])
	r.timeline = export.NewTimeline(file, file.size)
	watched := &watchedReader{Reader: io.NewSectionReader(file, 0, file.size), tell: arguments[1]}
	return export.Check(context.Background(), watched, r.timeline)
}

// courses takes a partition's number. It gives its sales' [export.Course].
func (r *replay) courses(arguments []js.Value) (any, error) {
	return r.timeline.Courses(int32(arguments[0].Int())), nil
}

// at takes a partition's number and an offset. It gives an [export.Moment].
func (r *replay) at(arguments []js.Value) (any, error) {
	return r.timeline.At(int32(arguments[0].Int()), offset(arguments[1]))
}

// watchedReader tells how far it was read, a few times a second.
type watchedReader struct {
	io.Reader
	tell js.Value
	read int64
	last time.Time
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.read += int64(n)
	if now := time.Now(); now.Sub(w.last) >= 100*time.Millisecond || errors.Is(err, io.EOF) {
		w.last = now
		w.tell.Invoke(w.read)
	}
	return n, err
}
