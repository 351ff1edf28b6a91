package report

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseReach(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Reach{
		"": {}, ">= 0.50": {AtLeast, 0.5}, ">=0.5": {AtLeast, 0.5}, "<= 100": {AtMost, 100}, ">= 700000": {AtLeast, 700_000},
	} {
		if got, err := ParseReach(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"> 1", "1", ">=", ">= x", "<= NaN", ">= Inf", "≥ 1", ">= 1 ms"} {
		if got, err := ParseReach(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for _, reach := range []Reach{{"", 1}, {"<", 1}, {AtMost, math.NaN()}} {
		if text, err := reach.MarshalText(); err == nil {
			t.Errorf("%v is written %q", reach, text)
		}
	}
}

func TestReachIsReadAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		reach := Reach{rapid.SampledFrom([]Comparison{AtLeast, AtMost}).Draw(t, "comparison"), rapid.Float64().Draw(t, "than")}
		text, err := reach.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseReach(string(text)); err != nil || got != reach {
			t.Fatalf("%q is %v, %v, want %v", text, got, err, reach)
		}
	})
}

func TestReached(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spread          Spread
		reach           string
		reached, surely bool
	}{
		"nothing to reach": {Spread{1, 0, 2}, "", true, true},
		"all of it":        {Spread{0.52, 0.50, 0.55}, ">= 0.5", true, true},
		"the median":       {Spread{0.52, 0.49, 0.55}, ">= 0.5", true, false},
		"at the number":    {Spread{100, 100, 100}, "<= 100", true, true},
		"the low end only": {Spread{101, 99, 120}, "<= 100", false, false},
		"none of it":       {Spread{101, 100.1, 120}, "<= 100", false, true},
		"no number":        {Spread{math.NaN(), math.NaN(), math.NaN()}, "<= 100", false, true},
	} {
		reach, err := ParseReach(c.reach)
		if err != nil {
			t.Fatal(err)
		}
		ratio := Ratio{Spread: c.spread, Reach: reach}
		if reached, surely := ratio.Reached(); reached != c.reached || surely != c.surely {
			t.Errorf("%s: reached %v, surely %v", name, reached, surely)
		}
	}
}
