package servertest

import (
	"fmt"
	"strings"
	"testing"
)

// compare holds what a server did with bytes against what net/http did.
//
// Where they may differ:
//   - What a server says to a request that it does not take: net/http's text is
//     not a promise, and its choice of status neither. It may say nothing. It
//     must close.
//   - A request whose body is broken may be refused before the handler sees it.
//     net/http calls the handler when it has read the head.
//   - A request that is not whole yet may be refused, where no more bytes could
//     make it right: net/http reads a line, and four bytes, before it judges.
//   - How the end of an answer's body is told, its Date, and the order of its
//     header.
func compare(got, want outcome) error {
	requests, broken := split(got.requests)
	wanted, brokenWanted := split(want.requests)
	for i := range max(len(requests), len(wanted)) {
		switch {
		case i >= len(requests):
			return fmt.Errorf("the handler does not see request %d: %s", i, wanted[i].head)
		case i >= len(wanted):
			return fmt.Errorf("the handler sees request %d, which net/http does not give it: %s, body %s", i, requests[i].head, requests[i].body)
		case requests[i] != wanted[i]:
			return fmt.Errorf("the handler sees request %d\n  %s, body %s\nand of net/http\n  %s, body %s", i, requests[i].head, requests[i].body, wanted[i].head, wanted[i].body)
		}
	}
	for i := range broken {
		if i >= len(brokenWanted) || broken[i].head != brokenWanted[i].head {
			return fmt.Errorf("the handler sees a request whose body breaks, which net/http does not give it: %s", broken[i].head)
		}
	}

	for i, w := range want.answers {
		if w.refuses() || w.has(brokenField) {
			break // the last of them
		}
		if i >= len(got.answers) {
			return fmt.Errorf("answer %d does not come: %s", i, w.text())
		}
		g := got.answers[i]
		if g.text() != w.text() {
			return fmt.Errorf("answer %d is\n  %s\nand of net/http\n  %s", i, g.text(), w.text())
		}
	}
	for _, g := range got.answers[min(settled(want.answers), len(got.answers)):] {
		if !g.refuses() && !g.has(brokenField) {
			return fmt.Errorf("an answer that net/http does not give: %s", g.text())
		}
	}
	if want.closed && !got.closed {
		return fmt.Errorf("the connection is not closed after %s", brief(want.answers))
	}
	return nil
}

// settled counts the answers before one that refuses.
func settled(answers []answer) int {
	for i, a := range answers {
		if a.refuses() || a.has(brokenField) {
			return i
		}
	}
	return len(answers)
}

func split(requests []request) (whole, broken []request) {
	for _, r := range requests {
		if r.broken {
			broken = append(broken, r)
		} else {
			whole = append(whole, r)
		}
	}
	return whole, broken
}

// brief gives the statuses of answers.
func brief(answers []answer) string {
	if len(answers) == 0 {
		return "nothing"
	}
	var statuses []string
	for _, a := range answers {
		statuses = append(statuses, fmt.Sprint(a.status))
	}
	return strings.Join(statuses, " ")
}

// exchange sends pieces, each when the one before has been read, and holds what
// comes of them against an outcome.
func (w *world) exchange(t testing.TB, e *echo, want outcome, pieces ...string) error {
	t.Helper()
	c := w.dial(t)
	defer c.close()
	c.sendApart(pieces...)
	var got outcome
	wanted := settled(want.answers)
	read, ended, _ := c.wait(w.patience, func(read []byte, ended bool) bool {
		got.answers, _, _ = parseAnswers(read, ended)
		return !want.closed && len(got.answers) >= wanted
	})
	got.closed = ended
	if !ended {
		if len(got.answers) < wanted {
			return fmt.Errorf("answers do not come; read so far: %q", read)
		}
		if want.closed {
			return fmt.Errorf("the connection is not closed after %s; read so far: %q", brief(want.answers), read)
		}
		// It is kept, and that is to be so. Now the client has said all.
		_ = c.conn.CloseWrite()
		if read, ended, _ = c.wait(w.patience, func(_ []byte, ended bool) bool { return ended }); !ended {
			return fmt.Errorf("the connection is not closed after the client has ended it; read so far: %q", read)
		}
	}
	var err error
	if got.answers, err = parseAll(read, true); err != nil {
		return err
	}
	w.forget(c.name)
	if got.requests, err = e.take(c.name); err != nil {
		return err
	}
	return compare(got, want)
}
