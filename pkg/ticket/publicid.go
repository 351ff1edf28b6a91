package ticket

import (
	"strconv"
	"strings"
)

// PublicID gives a request's public id, `partition-offset`: fit for logs,
// support and merchants, and opens nothing. No ticket looks like one. Its
// arguments are a record's place, so neither is below 0.
func PublicID(partition int32, offset int64) string {
	var buffer [32]byte
	b := strconv.AppendInt(buffer[:0], int64(partition), 10)
	b = append(b, '-')
	return string(strconv.AppendInt(b, offset, 10))
}

// ParsePublicID reads what PublicID writes, and nothing else: no signs, no
// leading zeros, numbers within a ticket's bounds. The error is ErrInvalid.
func ParsePublicID(id string) (partition int32, offset int64, err error) {
	before, after, found := strings.Cut(id, "-")
	if !found {
		return 0, 0, ErrInvalid
	}
	first, ok := parseDecimal(before, MaxPartition)
	if !ok {
		return 0, 0, ErrInvalid
	}
	second, ok := parseDecimal(after, MaxOffset)
	if !ok {
		return 0, 0, ErrInvalid
	}
	return int32(first), second, nil
}

func parseDecimal(digits string, limit int64) (int64, bool) {
	if digits == "" || (digits[0] == '0' && len(digits) > 1) {
		return 0, false
	}
	var number int64
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		// Checked digit by digit, so it never overflows and a long text ends early.
		number = number*10 + int64(c-'0')
		if number > limit {
			return 0, false
		}
	}
	return number, true
}
