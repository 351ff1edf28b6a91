package ingress

import (
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// timestamp writes a time as RFC 3339 does, in UTC, with milliseconds.
func timestamp(t sale.Time) string {
	var buffer [timestampLength]byte
	return string(appendTimestamp(buffer[:0], t))
}

// timestamps gives two of them in one piece of memory.
func timestamps(a, b sale.Time) (string, string) {
	var buffer [2 * timestampLength]byte
	text := appendTimestamp(buffer[:0], a)
	cut := len(text)
	both := string(appendTimestamp(text, b))
	return both[:cut], both[cut:]
}

const (
	timestampForm   = "2006-01-02T15:04:05.000Z07:00"
	timestampLength = len("2006-01-02T15:04:05.000Z")
)

// appendTimestamp appends what Format gives. Every answer has two, and Format
// reads its layout anew for each.
func appendTimestamp(to []byte, t sale.Time) []byte {
	at := time.UnixMilli(int64(t)).UTC()
	year, month, day := at.Date()
	if year < 0 || year > 9999 {
		return at.AppendFormat(to, timestampForm)
	}
	hour, minute, second := at.Clock()
	milli := at.Nanosecond() / int(time.Millisecond)
	digit := func(n, of int) byte { return byte('0' + n/of%10) }
	return append(to,
		digit(year, 1000), digit(year, 100), digit(year, 10), digit(year, 1), '-',
		digit(int(month), 10), digit(int(month), 1), '-', digit(day, 10), digit(day, 1), 'T',
		digit(hour, 10), digit(hour, 1), ':', digit(minute, 10), digit(minute, 1), ':', digit(second, 10), digit(second, 1),
		'.', digit(milli, 100), digit(milli, 10), digit(milli, 1), 'Z')
}
