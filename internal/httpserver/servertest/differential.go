package servertest

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// probe is a request by which it is seen where a server believes that the last
// one ended.
const probe = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"

// testRequests holds a server to net/http on each case: in one piece, followed
// by a request in the same segment, said twice, a byte at a time, and in two
// pieces, cut at every place.
func testRequests(t *testing.T, start Start) {
	reference := newReference(t, patient, nil)
	echo := newEcho()
	w := serve(t, start, patient, echo)
	for _, c := range bytesCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want, err := reference.do(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Replace(brief(want.answers), "nothing", "-", 1); got != c.want {
				t.Errorf("net/http answers %s where %s is said here: %q", got, c.want, c.text)
			}
			check := func(how string, want outcome, pieces ...string) bool {
				if err := w.exchange(t, echo, want, pieces...); err != nil {
					t.Errorf("%s: %v\nsent: %q", how, err, pieces)
					return false
				}
				return true
			}
			ok := check("in one piece", want, c.text)
			for how, text := range map[string]string{"and a request": c.text + probe, "twice": c.text + c.text} {
				more, err := reference.do(text)
				if err != nil {
					t.Fatal(err)
				}
				ok = check(how, more, text) && ok
			}
			if !ok {
				return // the cuts would say the same
			}
			if len(c.text) <= 400 && !check("a byte at a time", want, strings.Split(c.text, "")...) {
				return
			}
			step := 1 + len(c.text)/400
			for at := step; at < len(c.text); at += step {
				if !check(fmt.Sprintf("cut at %d", at), want, c.text[:at], c.text[at:]) {
					return
				}
			}
		})
	}
}

// testRandomRequests does the same with cases that are changed at random, one
// after another on one connection.
func testRandomRequests(t *testing.T, start Start) {
	reference := newReference(t, patient, nil)
	echo := newEcho()
	w := serve(t, start, patient, echo)
	rapid.Check(t, func(r *rapid.T) {
		var all strings.Builder
		for range rapid.IntRange(1, 4).Draw(r, "requests") {
			all.WriteString(mutated(r))
		}
		text := all.String() + rapid.SampledFrom([]string{"", probe}).Draw(r, "end")
		want, err := reference.do(text)
		if err != nil {
			r.Fatal(err)
		}
		pieces := []string{text}
		for range rapid.IntRange(0, 4).Draw(r, "cuts") {
			last := pieces[len(pieces)-1]
			at := rapid.IntRange(0, len(last)).Draw(r, "cut")
			pieces = append(pieces[:len(pieces)-1], last[:at], last[at:])
		}
		if err := w.exchange(t, echo, want, pieces...); err != nil {
			r.Fatalf("%v\nsent: %q", err, pieces)
		}
	})
}

// telling are pieces that change how a request is read.
var telling = []string{
	"\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", ":", ",", ";", "\x00", "\x7f", "\x80", "0", "5", "-", "+", "%", "/", "#", "?",
	"Content-Length: 3\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n",
	"Host: i\r\n", "Expect: 100-continue\r\n", " HTTP/1.0", " HTTP/1.1", "0\r\n\r\n", "3\r\nabc\r\n", "GET /b HTTP/1.1\r\n", "X: y\r\n", " z\r\n",
}

// mutated is a case with up to three changes.
func mutated(r *rapid.T) string {
	cases := bytesCases()
	text := rapid.SampledFrom(cases).Draw(r, "case").text
	for range rapid.IntRange(0, 3).Draw(r, "changes") {
		if len(text) == 0 {
			break
		}
		from := rapid.IntRange(0, len(text)-1).Draw(r, "from")
		to := from + rapid.IntRange(0, min(8, len(text)-from)).Draw(r, "bytes")
		switch rapid.IntRange(0, 4).Draw(r, "change") {
		case 0:
			text = text[:from] + text[to:]
		case 1:
			text = text[:from] + text[from:to] + text[from:]
		case 2:
			text = text[:from] + rapid.SampledFrom(telling).Draw(r, "piece") + text[from:]
		case 3:
			text = text[:from] + rapid.SampledFrom(telling).Draw(r, "piece") + text[to:]
		case 4:
			text = text[:from] + swapCase(text[from:to]) + text[to:]
		}
	}
	return text
}

func swapCase(text string) string {
	if upper := strings.ToUpper(text); upper != text {
		return upper
	}
	return strings.ToLower(text)
}

// Fuzz is a fuzz target: bytes, and where they are cut.
func Fuzz(f *testing.F, start Start) {
	for i, c := range bytesCases() {
		f.Add([]byte(c.text), uint16(i))
		f.Add([]byte(c.text+probe), uint16(len(c.text)))
	}
	reference := newReference(f, patient, nil)
	echo := newEcho()
	w := serve(f, start, patient, echo)
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		if len(text) > 3<<10 {
			t.Skip("heads that are too long are refused at another place")
		}
		want, err := reference.do(string(text))
		if err != nil {
			t.Fatal(err)
		}
		at := min(int(cut), len(text))
		if err := w.exchange(t, echo, want, string(text[:at]), string(text[at:])); err != nil {
			t.Fatalf("%v\nsent: %q and %q", err, text[:at], text[at:])
		}
	})
}
