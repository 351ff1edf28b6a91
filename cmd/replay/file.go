//go:build js && wasm

package main

import (
	"fmt"
	"io"
	"syscall/js"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// file is a File of the browser's. It is read a piece at a time, in the worker,
// where that may block.
type file struct {
	file, reader js.Value
	size         int64
}

func newFile(of js.Value) *file {
	return &file{file: of, reader: js.Global().Get("FileReaderSync").New(), size: int64(of.Get("size").Float())}
}

// ReadAt implements [io.ReaderAt].
func (f *file) ReadAt(p []byte, at int64) (n int, err error) {
	defer func() {
		if thrown := recover(); thrown != nil { // the file is gone, or has changed
			n, err = 0, fmt.Errorf("reading the file: %v", thrown)
		}
	}()
	if at >= f.size {
		return 0, io.EOF
	}
	end := min(at+int64(len(p)), f.size)
	piece := f.reader.Call("readAsArrayBuffer", f.file.Call("slice", at, end))
	n = js.CopyBytesToGo(p, js.Global().Get("Uint8Array").New(piece))
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// offset reads a number, which JavaScript has as a float.
func offset(of js.Value) sale.Offset { return sale.Offset(of.Float()) }
