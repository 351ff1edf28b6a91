package servertest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// testHeads is about heads that are too long.
func testHeads(t *testing.T, start Start) {
	var calls atomic.Int64
	w := serve(t, start, patient, marked(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	limit := patient.MaxHeaderBytes
	for name, text := range map[string]string{
		"value":             get("X: " + strings.Repeat("a", limit-200)),
		"fields":            get(strings.Split(strings.Repeat("Xy: z\n", (limit-200)/7)+"X: y", "\n")...),
		"path":              requestOf("GET /" + strings.Repeat("a", limit-200) + " HTTP/1.1"),
		"query":             requestOf("GET /?" + strings.Repeat("a", limit-200) + " HTTP/1.1"),
		"and a long body":   post(strings.Repeat("a", 100_000), "Content-Length: 100000", "X: "+strings.Repeat("a", limit-200)),
		"after another one": get() + get("X: "+strings.Repeat("a", limit-200)),
	} {
		t.Run("long enough/"+name, func(t *testing.T) {
			t.Parallel()
			c := w.dial(t)
			c.send(text)
			n := strings.Count(text, "HTTP/1.1")
			if answers, _ := c.answers(n); len(answers) != n || answers[n-1].status != http.StatusOK {
				t.Errorf("answers %q", c.text())
			}
			c.send(next)
			c.answers(n + 1)
		})
	}
	for name, text := range map[string]string{
		"value":        get("X: " + strings.Repeat("a", limit+8<<10)),
		"name":         get(strings.Repeat("a", limit+8<<10) + ": b"),
		"fields":       get(strings.Split(strings.Repeat("Xy: z\n", (limit+8<<10)/7)+"X: y", "\n")...),
		"short fields": get(strings.Split(strings.Repeat("a:\n", 20_000)+"X: y", "\n")...),
		"method":       requestOf(strings.Repeat("A", limit+8<<10) + " /a HTTP/1.1"),
		"path":         requestOf("GET /" + strings.Repeat("a", limit+8<<10) + " HTTP/1.1"),
		"version":      requestOf("GET /a HTTP/1.1" + strings.Repeat("1", limit+8<<10)),
		"folds":        get("X: y" + strings.Repeat("\r\n z", limit)),
		"spaces":       get("X: y" + strings.Repeat(" ", limit+8<<10)),
		"no end":       strings.Repeat("a", 256<<10),
		"line ends":    post("x", "Content-Length: 1") + strings.Repeat("\r\n", 16<<10),
		"a trailer":    post("0\r\nX: "+strings.Repeat("a", 256<<10)+"\r\n\r\n", "Transfer-Encoding: chunked"),
		"a chunk size": post(strings.Repeat("0", 256<<10)+"\r\n\r\n", "Transfer-Encoding: chunked"),
		"a chunk extension": post("1;"+strings.Repeat("a", 256<<10)+"\r\nx\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked"),
	} {
		t.Run("too long/"+name, func(t *testing.T) {
			t.Parallel()
			c := w.dial(t)
			c.send(text)
			for i, got := range c.rest() {
				if !got.refuses() && !(i == 0 && strings.HasPrefix(text, "POST")) {
					t.Errorf("answer %s", got.text())
				}
			}
		})
		// A client that does not stop is not listened to for ever.
		t.Run("too long and slow/"+name, func(t *testing.T) {
			t.Parallel()
			c := w.dial(t)
			for rest := text; len(rest) > 0 && c.waitRead(); {
				n := min(len(rest), 1000)
				c.send(rest[:n])
				rest = rest[n:]
			}
			c.rest()
		})
	}
	t.Cleanup(func() { // when the parallel tests above have ended
		const allowed = 7 + 6 // what is long enough, and what follows that
		const begun = 2 * 4   // heads that are right, before what is too long
		if got := calls.Load(); got > allowed+begun {
			t.Errorf("the handler was called %d times", got)
		}
	})
}
