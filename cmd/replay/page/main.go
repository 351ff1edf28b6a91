// Command page builds the page that replays exports in a browser: one file, with
// the program of the folder above in it as WebAssembly. The page works from
// anywhere and loads nothing.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// The page's source. In page.html a name in double braces stands for the others.
var (
	//go:embed page.html
	pageSource string
	//go:embed page.css
	styleSource string
	//go:embed page.js
	scriptSource string
	//go:embed worker.js
	workerSource string
)

func main() {
	output := flag.String("o", "replay.html", "the file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *output)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, output string) error {
	page, size, err := build(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("making the page's folder: %w", err)
	}
	if err := os.WriteFile(output, page, 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	fmt.Printf("%s: %d kB, of which %d kB are the program (%d kB unpacked)\n", output, len(page)/1000, size.packed/1000, size.unpacked/1000)
	return nil
}

// sizes are the program's, in bytes.
type sizes struct{ packed, unpacked int }

// build gives the page.
func build(ctx context.Context) ([]byte, sizes, error) {
	program, err := compile(ctx)
	if err != nil {
		return nil, sizes{}, err
	}
	support, err := wasmExec(ctx)
	if err != nil {
		return nil, sizes{}, err
	}
	packed, err := pack(program)
	if err != nil {
		return nil, sizes{}, err
	}
	for name, source := range map[string]string{"wasm_exec.js": support, "worker.js": workerSource, "page.js": scriptSource, "page.css": styleSource} {
		if strings.Contains(source, "</") {
			return nil, sizes{}, fmt.Errorf("%s has \"</\" in it, which would end its element", name)
		}
	}
	page := strings.NewReplacer(
		"{{style}}", styleSource, "{{script}}", scriptSource, "{{worker}}", workerSource, "{{wasm_exec}}", support, "{{program}}", packed,
	).Replace(pageSource)
	return []byte(page), sizes{packed: len(packed), unpacked: len(program)}, nil
}

// compile builds the program with the Go that is installed.
func compile(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "anteroom-replay-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "replay.wasm")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/anteroomhq/anteroom/cmd/replay")
	command.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if said, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the program: %w: %s", err, said)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the program: %w", err)
	}
	return program, nil
}

// wasmExec reads what Go needs in a browser. It belongs to the compiler's
// version, so it is taken from beside it.
func wasmExec(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking where Go is: %w", err)
	}
	support, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return "", fmt.Errorf("reading Go's support for browsers: %w", err)
	}
	return string(support), nil
}

// pack gives bytes as text that a page can hold.
func pack(program []byte) (string, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", fmt.Errorf("packing: %w", err)
	}
	if _, err := w.Write(program); err != nil {
		return "", fmt.Errorf("packing: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("packing: %w", err)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}
