package servertest

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// answerCases are handlers, by what they do.
var answerCases = []struct {
	name   string
	handle http.HandlerFunc
}{
	{"nothing", func(http.ResponseWriter, *http.Request) {}},
	{"text", func(w http.ResponseWriter, _ *http.Request) { say(w, "hello") }},
	{"an empty write", func(w http.ResponseWriter, _ *http.Request) { say(w, "") }},
	{"a string", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }},
	{"json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		say(w, `{"state":"queued"}`)
	}},
	{"a type that is to be guessed", func(w http.ResponseWriter, _ *http.Request) { say(w, "<html><body>hello</body></html>") }},
	{"a type that is to be guessed from two writes", func(w http.ResponseWriter, _ *http.Request) { say(w, "<ht"); say(w, "ml>") }},
	{"bytes", func(w http.ResponseWriter, _ *http.Request) { say(w, "\x89PNG\r\n\x1a\n\x00\x01") }},
	{"no type", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		say(w, "hello")
	}},
	{"a coding", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		say(w, "\x1f\x8b\x08")
	}},
	{"a date of its own", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
		say(w, "hello")
	}},
	{"a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }},
	{"a status without a name", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299); say(w, "hello") }},
	{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad", http.StatusServiceUnavailable) }},
	{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) }},
	{"not found", http.NotFound},
	{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
	{"204 with a body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent); say(w, "hello") }},
	{"204 with a length", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusNoContent)
	}},
	{"304", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
		say(w, "hello")
	}},
	{streams + "early hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		say(w, "hello")
	}},
	{"two statuses", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusConflict)
		say(w, "hello")
	}},
	{"a status after the body", func(w http.ResponseWriter, _ *http.Request) { say(w, "hello"); w.WriteHeader(http.StatusConflict) }},
	{"a field after the status", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X", "late")
		say(w, "hello")
	}},
	{"fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=b")
		w.Header().Add("Set-Cookie", "c=d")
		w.Header()["x-small"] = []string{"kept"}
		w.Header().Set("X-Empty", "")
		w.Header().Set("X-Spaces", "  a  ")
		say(w, "hello")
	}},
	{"line ends in a value", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/a\r\nInjected: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx")
		w.Header().Set("X", "a\nInjected: 2")
		w.Header().Set("Y", "a\rInjected: 3")
		w.WriteHeader(http.StatusFound)
	}},
	{"line ends in a name", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X: a\r\nInjected"] = []string{"1"}
		w.Header()["Bad Name"] = []string{"2"}
		w.Header()[""] = []string{"3"}
		say(w, "hello")
	}},
	{"line ends in a type", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain\r\nInjected: 1")
		say(w, "hello")
	}},
	{"writes in parts", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			say(w, fmt.Sprintf("part %d\n", i))
		}
	}},
	{"2047 bytes", func(w http.ResponseWriter, _ *http.Request) { say(w, strings.Repeat("a", 2047)) }},
	{"2048 bytes", func(w http.ResponseWriter, _ *http.Request) { say(w, strings.Repeat("a", 2048)) }},
	{"2049 bytes", func(w http.ResponseWriter, _ *http.Request) { say(w, strings.Repeat("a", 2049)) }},
	{"a megabyte", func(w http.ResponseWriter, _ *http.Request) { say(w, strings.Repeat("0123456789abcdef", 1<<16)) }},
	{"a megabyte in parts", func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			say(w, strings.Repeat("0123456789abcdef", 1<<6))
		}
	}},
	{"a length", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		say(w, "hello")
	}},
	{"a length and too little", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		say(w, "hello")
	}},
	{"a length and too much", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		say(w, "hell")
		if _, err := io.WriteString(w, "o"); err == nil {
			panic("it was taken")
		}
	}},
	{"a length without a body", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusCreated)
	}},
	{"close", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		say(w, "hello")
	}},
	{"close and nothing", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }},
	{streams + "a flush", func(w http.ResponseWriter, _ *http.Request) {
		say(w, "hel")
		_ = http.NewResponseController(w).Flush()
		say(w, "lo")
	}},
	{streams + "a flush first", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		w.WriteHeader(http.StatusConflict)
		say(w, "hello")
	}},
	{streams + "a flush last", func(w http.ResponseWriter, _ *http.Request) {
		say(w, "hello")
		_ = http.NewResponseController(w).Flush()
	}},
	{"a copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("hello")) }},
	{"the body back", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }},
	{"the body closed", func(w http.ResponseWriter, r *http.Request) { _ = r.Body.Close(); say(w, "hello") }},
	{"a part of the body", func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 2)
		_, _ = io.ReadFull(r.Body, part)
		say(w, "hello")
	}},
	{"a panic", func(http.ResponseWriter, *http.Request) { panic("told to") }},
	{"an abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	{"a panic after a write", func(w http.ResponseWriter, _ *http.Request) { say(w, "hello"); panic(http.ErrAbortHandler) }},
	{"a bad status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(7) }},
}

func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// streams begins the names of handlers that are below Streams.
const streams = "stream: "

// testAnswers calls each handler in each way of asking, and holds what is
// answered, and whether the next request is, against net/http.
func testAnswers(t *testing.T, start Start) {
	h := marked(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(path.Base(r.URL.Path))
		if err != nil || n >= len(answerCases) {
			say(w, "next")
			return
		}
		answerCases[n].handle(w, r)
	})
	reference := newReference(t, patient, h)
	w := serve(t, start, patient, h)
	for n, c := range answerCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := fmt.Sprintf("/%d", n)
			if strings.HasPrefix(c.name, streams) {
				at = Streams + at
			}
			for how, ask := range map[string]string{
				"get":                     requestOf("GET " + at + " HTTP/1.1"),
				"head":                    requestOf("HEAD " + at + " HTTP/1.1"),
				"post":                    head("POST "+at+" HTTP/1.1", "Host: h", "Content-Length: 5") + "hello",
				"chunks":                  head("POST "+at+" HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
				"expect":                  head("POST "+at+" HTTP/1.1", "Host: h", "Content-Length: 5", "Expect: 100-continue") + "hello",
				"close":                   head("GET "+at+" HTTP/1.1", "Host: h", "Connection: close"),
				"HTTP/1.0":                requestOf("GET " + at + " HTTP/1.0"),
				"HTTP/1.0 and keep-alive": head("GET "+at+" HTTP/1.0", "Host: h", "Connection: keep-alive"),
			} {
				if err := w.holdAnswers(t, reference, ask+next); err != nil {
					t.Errorf("%s: %v", how, err)
				}
			}
		})
	}
}

// holdAnswers compares the answers to bytes, and the end of the connection. An
// answer that is cut short counts as none.
func (w *world) holdAnswers(t testing.TB, reference *reference, text string) error {
	want, err := reference.doLoosely(text)
	if err != nil {
		return err
	}
	c := w.dial(t)
	defer c.close()
	c.send(text)
	var got []answer
	read, ended, _ := c.wait(patience, func(read []byte, ended bool) bool {
		got, _, err = parseAnswers(read, ended)
		return err != nil || !want.closed && len(got) >= len(want.answers)
	})
	switch {
	case err != nil:
		return fmt.Errorf("what is answered cannot be read: %w in %q", err, excerpt(read))
	case want.closed && !ended:
		return fmt.Errorf("the connection is not closed after %s; read so far: %q", brief(want.answers), excerpt(read))
	case len(got) < len(want.answers):
		return fmt.Errorf("%d answers of %d; read: %q", len(got), len(want.answers), excerpt(read))
	}
	if ended {
		w.forget(c.name)
	}
	for i, g := range got {
		if i >= len(want.answers) {
			return fmt.Errorf("an answer that net/http does not give: %s", g.text())
		}
		wanted := want.answers[i]
		if g.text() != wanted.text() || g.body != wanted.body {
			return fmt.Errorf("answer %d is\n  %s\nand of net/http\n  %s", i, g.text(), wanted.text())
		}
		if !slices.Equal(g.interim, wanted.interim) && !slices.Contains(wanted.interim, http.StatusContinue) {
			return fmt.Errorf("before answer %d came %v and of net/http %v", i, g.interim, wanted.interim)
		}
		date, _ := g.get("Date")
		if _, err := http.ParseTime(date); err != nil && wanted.has("Date") || len(g.all("Date")) > 1 {
			return fmt.Errorf("answer %d has the dates %q", i, g.all("Date"))
		}
		length, told := g.get("Content-Length")
		if wantedLength, wantedTold := wanted.get("Content-Length"); told && wantedTold && length != wantedLength {
			return fmt.Errorf("answer %d tells length %s and of net/http %s", i, length, wantedLength)
		}
		if _, wantedTold := wanted.get("Content-Length"); told && !wantedTold && (g.status < 200 || g.status == http.StatusNoContent) {
			return fmt.Errorf("answer %d is of status %d and tells a length", i, g.status)
		}
	}
	return nil
}

// doLoosely is do for handlers that may leave an answer unfinished.
func (r *reference) doLoosely(text string) (outcome, error) {
	out, closed, err := r.say(text, new(string))
	if err != nil {
		return outcome{}, err
	}
	answers, _, err := parseAnswers(out, closed)
	return outcome{answers: answers, closed: closed}, err
}

func excerpt(text []byte) string {
	if len(text) > 600 {
		return fmt.Sprintf("%s… (%d bytes)", text[:600], len(text))
	}
	return string(text)
}
