package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a test waits for what the page must come to.
const patience = 2 * time.Minute

// browser is a page that is open in a browser without a network.
type browser struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // chromedp's handle of the browser
	mu      sync.Mutex
	asked   []string // for what the page has asked
	wrong   []string // what was thrown in it
	exports string   // the folder of the files that it opens
}

// openPage builds the page and opens it from a file.
func openPage(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: apt-get install chromium")
		}
		t.Skip("chromium is missing: apt-get install chromium")
	}
	page, _, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "replay.html")
	if err := os.WriteFile(file, page, 0o644); err != nil {
		t.Fatal(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 1400),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
		chromedp.UserDataDir(filepath.Join(folder, "profile")),
	)
	allocated, endAllocated := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		end()
		endAllocated()
	})
	b := &browser{t: t, exports: folder}
	if err := chromedp.Listen(ctx, b.hear); err != nil { // starts the browser
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	b.ctx = ctx
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	offline := network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}}}
	if _, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, offline); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: true}); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.Navigate("file://" + file))
	t.Cleanup(b.checkQuiet)
	return b
}

func (b *browser) hear(happened any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := happened.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, e.ExceptionDetails.Text)
		if of := e.ExceptionDetails.Exception; of != nil {
			b.wrong = append(b.wrong, of.Description)
		}
	}
}

// checkQuiet fails where the page has asked for anything outside of itself, or
// has thrown.
func (b *browser) checkQuiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		b.t.Error("not even the page itself was asked for: nothing was heard")
	}
	for _, url := range b.asked {
		if scheme, _, _ := strings.Cut(url, ":"); scheme != "file" && scheme != "data" && scheme != "blob" {
			b.t.Errorf("the page asked for %s", url)
		}
	}
	for _, wrong := range b.wrong {
		b.t.Errorf("the page threw: %s", wrong)
	}
}

// run does what a person would.
func (b *browser) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until a condition holds in the page.
func (b *browser) until(condition string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(patience))); err != nil {
		b.t.Fatalf("waiting for %s: %v; the page says %q", condition, err, b.value("document.body.innerText"))
	}
}

// value evaluates an expression to a text.
func (b *browser) value(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return text
}

func (b *browser) expect(expression, want string) {
	b.t.Helper()
	if got := b.value(expression); got != want {
		b.t.Errorf("%s is %q, want %q", expression, got, want)
	}
}

// choose sets a field as a person would.
func (b *browser) choose(id, value string) {
	b.t.Helper()
	b.value(`(() => { const field = document.getElementById("` + id + `"); field.value = "` + value + `"; field.dispatchEvent(new Event("change")); })()`)
}

// file writes a file that the page can open.
func (b *browser) file(export []byte) string {
	b.t.Helper()
	path := filepath.Join(b.exports, "export.ndjson")
	if err := os.WriteFile(path, export, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// open opens an export and waits for the verdict.
func (b *browser) open(export []byte) {
	b.t.Helper()
	b.value(verdict + ".hidden = true") // of the one before
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{b.file(export)}))
	b.awaitVerdict()
}

func (b *browser) awaitVerdict() {
	b.t.Helper()
	b.until(`!document.getElementById("verdict").hidden && document.getElementById("progress").hidden`)
}

// await waits until the page shows the moment after an offset.
func (b *browser) await(offset string) {
	b.t.Helper()
	b.until(`document.getElementById("time").dataset.offset === "` + offset + `"`)
}

const (
	verdict = `document.getElementById("verdict")`
	counts  = `[...document.querySelectorAll("#sale-rows tr:first-child td")].map((td) => td.textContent).join(" ")`
	told    = `[...document.querySelectorAll("#decisions li.now")].map((li) => li.firstChild.textContent).join(" ")`
)

// TestPage shows an export that is as it must be, through time.
func TestPage(t *testing.T) {
	t.Parallel()
	b := openPage(t)
	b.open(exported(t, golden(t, "waitlist-first-waiter-gets-the-freed-unit")))
	b.expect(verdict+`.dataset.equal`, "true")
	if digest := b.value(`document.querySelector("#partition-rows .digest").textContent`); len(digest) != 64 {
		t.Errorf("digest %q", digest)
	}
	last := b.value(`document.getElementById("slider").max`)
	b.await(last)

	// As people do: by key, by the buttons, by number, and on the chart.
	b.run(chromedp.Focus(chromedp.CSS("#slider")), chromedp.KeyEvent(kb.Home))
	b.await("0")
	b.expect(counts, "")
	b.run(chromedp.Click(chromedp.CSS("#forward")))
	b.await("1")
	b.expect(counts, "ring 0-1 open 1 1 0 0 0 0 0")
	b.choose("offset", "2")
	b.await("2")
	b.expect(counts, "ring 0-1 open 1 0 0 1 0 0 0")
	b.expect(told, "Request 0-2 gets a hold of 1 unit.")
	b.run(chromedp.Focus(chromedp.CSS("#slider")), chromedp.KeyEvent(kb.ArrowRight))
	b.await("3")
	b.expect(`document.querySelectorAll("#chart polygon").length`, "4")

	b.run(chromedp.Click(chromedp.CSS("#last")))
	b.await(last)
}

// TestPageFindsTampering opens exports that were changed, one after another, and
// then one that was not.
func TestPageFindsTampering(t *testing.T) {
	t.Parallel()
	b := openPage(t)
	whole := exported(t, golden(t, "extend"))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	changed := func(line int, old, with string) []byte {
		t.Helper()
		other := slices.Clone(lines)
		other[line] = bytes.Replace(lines[line], []byte(old), []byte(with), 1)
		if bytes.Equal(other[line], lines[line]) {
			t.Fatalf("%s has no %q", lines[line], old)
		}
		return bytes.Join(other, nil)
	}
	for _, c := range []struct {
		name, offset, found string
		export              []byte
	}{
		{"a byte of a record", "6", "mark", changed(2+6, `\"seconds\":15`, `\"seconds\":16`)},
		{"a decision", "2", `request.state "waitlisted"`, changed(2+2, `"state":"held"`, `"state":"waitlisted"`)},
		{"a missing record", "5", "record 6 of partition 0", bytes.Join(slices.Delete(slices.Clone(lines), 2+5, 2+6), nil)},
		{"a file that is cut off", "3", "no more of it", bytes.Join(lines[:2+3], nil)},
	} {
		b.open(c.export)
		b.expect(verdict+`.dataset.equal`, "false")
		b.expect(verdict+`.dataset.offset`, c.offset)
		if text := b.value(verdict + `.textContent`); !strings.Contains(text, c.found) || !strings.Contains(text, "offset "+c.offset) {
			t.Errorf("%s: the page says %q", c.name, text)
		}
	}
	b.open([]byte("something else\n"))
	b.expect(verdict+`.dataset.equal`, "unknown")
	b.open(whole)
	b.expect(verdict+`.dataset.equal`, "true")
}

// TestPageTakesWhatIsDropped drops an export of several partitions.
func TestPageTakesWhatIsDropped(t *testing.T) {
	t.Parallel()
	b := openPage(t)
	text := string(exported(t, golden(t, "extend"), golden(t, "second-sale")))
	b.value(`((text) => {
		const transfer = new DataTransfer();
		transfer.items.add(new File([text], "dropped.ndjson"));
		document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
	})(` + quoted(text) + `)`)
	b.awaitVerdict()
	b.expect(verdict+`.dataset.equal`, "true")
	b.expect(`document.querySelectorAll("#partition-rows tr").length`, "2")
	b.choose("partition", "1")
	b.until(`document.querySelector("#sale-rows td:nth-child(2)")?.textContent.startsWith("1-")`)
}

// TestPageCanBeCancelled cancels what has just begun, and opens the export again.
func TestPageCanBeCancelled(t *testing.T) {
	t.Parallel()
	b := openPage(t)
	whole := exported(t, golden(t, "extend"))
	b.value(`((text) => {
		open(new File([text], "cancelled.ndjson"));
		window.began = !document.getElementById("progress").hidden;
		document.getElementById("cancel").click();
	})(` + quoted(string(whole)) + `)`)
	b.expect(`window.began`, "true")
	b.expect(`document.getElementById("progress").hidden && document.getElementById("verdict").hidden`, "true")
	b.open(whole)
	b.expect(verdict+`.dataset.equal`, "true")
	if text := b.value(verdict + `.textContent`); !strings.Contains(text, "export.ndjson") {
		t.Errorf("the page says %q", text)
	}

	// Another export is opened while a moment of this one is asked for.
	b.await(b.value(`document.getElementById("slider").max`))
	b.value(`((text) => {
		goTo(0);
		open(new File([text], "another.ndjson"));
	})(` + quoted(string(exported(t, golden(t, "release")))) + `)`)
	b.awaitVerdict()
	b.until(`document.getElementById("time").dataset.offset === document.getElementById("slider").max`)
	b.run(chromedp.Click(chromedp.CSS("#first")))
	b.await("0")
}

// TestPageIsOneFile shows that the page refers to nothing.
func TestPageIsOneFile(t *testing.T) {
	t.Parallel()
	page, size, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), "{{") || size.unpacked == 0 {
		t.Error("the page has a place that was not filled")
	}
	for _, source := range []string{pageSource, styleSource, scriptSource, workerSource} {
		for _, outside := range []string{" src=", "url(", "@import", "importScripts", "fetch(", "//cdn", "https:"} {
			if strings.Contains(source, outside) {
				t.Errorf("the page's source has %q", outside)
			}
		}
	}
}
