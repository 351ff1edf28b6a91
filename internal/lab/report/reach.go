package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Reach is what a ratio is to reach. The zero Reach asks for nothing. As text
// it is a comparison and a number, such as ">= 0.50".
type Reach struct {
	Comparison Comparison
	Than       float64
}

// Comparison says on which side of a number is good.
type Comparison string

// The comparisons.
const (
	AtLeast Comparison = ">="
	AtMost  Comparison = "<="
)

// ParseReach reads ">= 0.50" or "<= 100", with or without the space, and
// nothing from empty text.
func ParseReach(text string) (Reach, error) {
	var reach Reach
	err := reach.UnmarshalText([]byte(text))
	return reach, err
}

// UnmarshalText is ParseReach for JSON.
func (r *Reach) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Reach{}
		return nil
	}
	for _, c := range []Comparison{AtLeast, AtMost} {
		if number, is := strings.CutPrefix(string(text), string(c)); is {
			than, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || !finite(than) {
				return fmt.Errorf("what to reach has no number: %q", text)
			}
			*r = Reach{c, than}
			return nil
		}
	}
	return fmt.Errorf(`what to reach is not ">= number" or "<= number": %q`, text)
}

// MarshalText is String, and refuses what ParseReach would not read.
func (r Reach) MarshalText() ([]byte, error) {
	text := r.String()
	if _, err := ParseReach(text); err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// String is empty for the zero Reach.
func (r Reach) String() string {
	if r == (Reach{}) {
		return ""
	}
	return string(r.Comparison) + " " + strconv.FormatFloat(r.Than, 'f', -1, 64)
}

func (r Reach) holds(value float64) bool {
	switch r.Comparison {
	case AtLeast:
		return value >= r.Than
	case AtMost:
		return value <= r.Than
	}
	return false
}

// Reached says whether the median reaches what it is to reach, and whether the
// whole interval says the same. A ratio with nothing to reach reaches it; a
// median that is no number does not.
func (r *Ratio) Reached() (reached, surely bool) {
	if r.Reach == (Reach{}) {
		return true, true
	}
	reached = r.Reach.holds(r.Median)
	return reached, r.Reach.holds(r.Low) == reached && r.Reach.holds(r.High) == reached
}
