package ingress

import (
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// marker is what a client says it has seen, by an ETag, the id of a
// server-sent event, or ?after=. Its text is
//
//	<mark>.<fingerprint>.<position>
//
// where mark is the watermark with a MAC over the ticket, so that nobody makes
// up a future that an ingress then has to catch up with. The rest is only ever
// compared. A final state's mark has a scope of its own: it proves that the
// client has seen the end.
type marker struct {
	watermark   sale.Offset // 0 for a client that has seen nothing
	fingerprint string      // of what was shown, but for the position
	position    string      // as shown, or empty
	final       bool
	text        string // all of it, as it came
}

const finalScope = "\x00final"

// readMarker gives the zero marker for anything that this keyring did not make
// for this ticket.
func (i *Ingress) readMarker(ticketText, text string) marker {
	mark, rest, _ := strings.Cut(text, ".")
	fingerprint, position, _ := strings.Cut(rest, ".")
	m := marker{fingerprint: fingerprint, position: position, text: text}
	watermark, ok := i.tickets.ReadMark(ticketText, mark)
	if !ok {
		watermark, ok = i.tickets.ReadMark(ticketText+finalScope, mark)
		m.final = true
	}
	if !ok {
		return marker{}
	}
	m.watermark = sale.Offset(watermark)
	return m
}

// maxTags bounds how many tags of a list are looked at.
const maxTags = 4

// readTags reads If-None-Match and gives the tag that has seen most.
func (i *Ingress) readTags(ticketText string, r *http.Request) marker {
	var newest marker
	list := r.Header.Get("If-None-Match")
	for range maxTags {
		if list == "" {
			break
		}
		var tag string
		tag, list, _ = strings.Cut(list, ",")
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
			continue
		}
		if m := i.readMarker(ticketText, tag[1:len(tag)-1]); m.fingerprint != "" && m.watermark >= newest.watermark {
			newest = m
		}
	}
	return newest
}

// marker gives the text of the marker of what is shown.
func (s *shown) marker(i *Ingress) string {
	var buffer [maxMarker]byte
	return string(s.appendMarker(buffer[:0], i))
}

// maxMarker is about as long as a tag is.
const maxMarker = 96

func (s *shown) appendMarker(to []byte, i *Ingress) []byte {
	scope := s.scope
	if s.status.State.Final() {
		scope += finalScope
	}
	to = i.tickets.AppendMark(to, scope, int64(s.watermark))
	to = append(to, '.')
	to = append(to, s.fingerprint...)
	to = append(to, '.')
	if s.status.Position != nil {
		to = strconv.AppendInt(to, *s.status.Position, 10)
	}
	return to
}

// tag gives the ETag of what is shown. It is a weak one: the same tag is of
// answers that differ in their server_time.
func (s *shown) tag(i *Ingress) string {
	var buffer [maxMarker]byte
	return string(append(s.appendMarker(append(buffer[:0], `W/"`...), i), '"'))
}

func tagOf(marker string) string { return `W/"` + marker + `"` }

func (s *shown) position() string {
	if s.status.Position == nil {
		return ""
	}
	return strconv.FormatInt(*s.status.Position, 10)
}

// sameButPosition reports whether a client that has m sees nothing new in s
// but, perhaps, its position.
func (m *marker) sameButPosition(s *shown) bool { return m.fingerprint == s.fingerprint }

// same reports whether a client that has m sees nothing new in s.
func (m *marker) same(s *shown) bool {
	return m.sameButPosition(s) && m.position == s.position()
}

// fingerprintOf gives the part of a marker that changes with the status.
func fingerprintOf(s *status) string {
	hash := fnv.New64a()
	var buffer [160]byte
	text := append(buffer[:0], s.ID...)
	for _, part := range [...]string{string(s.State), string(s.Reason), s.ExpiresAt, s.DecidedAt, s.CheckoutURL} {
		text = append(text, 0)
		text = append(text, part...)
	}
	_, _ = hash.Write(text)
	return strconv.FormatUint(hash.Sum64(), 36)
}
