package report

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// none stands for what was not measured.
const none = "–"

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// number gives a value in a unit, to three significant digits or to the whole.
func number(value float64, unit string) string {
	switch unit {
	case "%":
		value *= 100
	case "KiB":
		value /= kibibyte
	case "MiB":
		value /= mebibyte
	}
	size := math.Abs(value)
	switch {
	case !finite(value):
		return none
	case value == 0 || size >= 99.95 || unit == "" && value == math.Trunc(value):
		return grouped(value)
	case size >= 9.995:
		return strconv.FormatFloat(value, 'f', 1, 64)
	case size >= 0.9995:
		return strconv.FormatFloat(value, 'f', 2, 64)
	case size < 1e-6:
		return strconv.FormatFloat(value, 'g', 3, 64)
	}
	return strconv.FormatFloat(value, 'f', 2-int(math.Floor(math.Log10(size))), 64)
}

// grouped gives a number to the whole, with its thousands apart.
func grouped(value float64) string {
	digits := strconv.FormatFloat(value, 'f', 0, 64)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// ranged gives "low–high", or the one number that both read as.
func ranged(low, high float64, unit string) string {
	from, to := number(low, unit), number(high, unit)
	if from == to {
		return from
	}
	return from + "–" + to
}

// words gives a median with its interval, where there is one to see.
func (s *Spread) words(unit string) string {
	median, interval := number(s.Median, unit), ranged(s.Low, s.High, unit)
	if interval == median {
		return median
	}
	return median + " (" + interval + ")"
}

func many(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return grouped(float64(n)) + " " + of
}

// durationWords gives the length of a run.
func durationWords(seconds float64) string {
	if seconds < 60 {
		return number(seconds, "s") + " s"
	}
	whole := int(math.Round(seconds))
	if whole < 3600 {
		return strconv.Itoa(whole/60) + " min " + strconv.Itoa(whole%60) + " s"
	}
	return strconv.Itoa(whole/3600) + " h " + strconv.Itoa(whole%3600/60) + " min"
}

func when(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// legible gives text of others without what a terminal would obey.
func legible(from string) string {
	if !strings.ContainsFunc(from, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return from
	}
	quoted := strconv.Quote(from)
	return quoted[1 : len(quoted)-1]
}

// prose is legible text of others that may have been written in several lines.
func prose(from string) string { return legible(strings.Join(strings.Fields(from), " ")) }
