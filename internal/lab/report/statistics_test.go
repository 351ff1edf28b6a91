package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestIntervals: the ranks are those of the tables in print.
func TestIntervals(t *testing.T) {
	t.Parallel()
	for n, rank := range map[int]int{1: 1, 5: 1, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 14: 3, 15: 4, 16: 4, 17: 5, 19: 5, 20: 6, 100: 40} {
		if got := skipped(n) + 1; got != rank {
			t.Errorf("of %d values the interval begins at the %d. least, want the %d.", n, got, rank)
		}
	}
	for n, coverage := range map[int]float64{0: 0, 1: 0, 2: 0.5, 3: 0.75, 4: 0.875, 5: 0.9375, 6: 0.96875} {
		if got := Coverage(n); math.Abs(got-coverage) > 1e-9 {
			t.Errorf("an interval of %d values holds %v, want %v", n, got, coverage)
		}
	}
}

// naiveCoverage counts, over all ways in which n values can lie on either side
// of the median, those at which the k-th least and greatest enclose it.
func naiveCoverage(n, k int) float64 {
	holds := 0
	for sides := range 1 << n {
		below := 0
		for i := range n {
			below += sides >> i & 1
		}
		if below >= k && n-below >= k {
			holds++
		}
	}
	return float64(holds) / float64(int(1)<<n)
}

func naiveOf(values []float64) Spread {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	n, k := len(sorted), 1
	for naiveCoverage(n, k+1) >= 0.95 {
		k++
	}
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return Spread{median, sorted[k-1], sorted[n-k]}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

func alike(a, b Spread) bool {
	return near(a.Median, b.Median) && near(a.Low, b.Low) && near(a.High, b.High)
}

// TestOfIsNaive holds medians and intervals against a count of all cases.
func TestOfIsNaive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 12).Draw(t, "values")
		before := slices.Clone(values)
		got, err := Of(values)
		if err != nil {
			t.Fatal(err)
		}
		if want := naiveOf(values); !alike(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if !slices.Equal(values, before) {
			t.Fatal("the values were put in another order")
		}
		again, err := Of(rapid.Permutation(values).Draw(t, "in another order"))
		if err != nil || again != got {
			t.Fatalf("%v, %v, want %v in any order", again, err, got)
		}
	})
}

// TestOfHoldsTogether: for any finite values, the greatest among them.
func TestOfHoldsTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), 1, 300).Draw(t, "values")
		got, err := Of(values)
		if err != nil {
			t.Fatal(err)
		}
		if got.Low > got.Median || got.Median > got.High || !slices.Contains(values, got.Low) || !slices.Contains(values, got.High) {
			t.Fatalf("%v of %v", got, values)
		}
	})
}

// TestPairedIsNaive: a ratio is that of the quotients, pair by pair, whatever
// the unit; and the other way round it is the inverse.
func TestPairedIsNaive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "rounds")
		value := rapid.Float64Range(1e-3, 1e6)
		a, b := rapid.SliceOfN(value, n, n).Draw(t, "a"), rapid.SliceOfN(value, n, n).Draw(t, "b")
		got, err := Paired(a, b)
		if err != nil {
			t.Fatal(err)
		}
		var quotients, thousandth []float64
		for i := range a {
			quotients, thousandth = append(quotients, a[i]/b[i]), append(thousandth, a[i]/1000)
		}
		if want := naiveOf(quotients); !alike(got.Spread, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		scaled, err := Paired(thousandth, b)
		if err != nil || !near(scaled.Median*1000, got.Median) {
			t.Fatalf("%v, %v in thousands, want a thousandth of %v", scaled, err, got)
		}
		inverse, err := Paired(b, a)
		if err != nil || !near(inverse.Low, 1/got.High) || !near(inverse.High, 1/got.Low) {
			t.Fatalf("%v, %v, want the inverse of %v", inverse, err, got)
		}
	})
}

// TestPairsKeepTheirDrift: what slows both of a pair does not widen the ratio.
func TestPairsKeepTheirDrift(t *testing.T) {
	t.Parallel()
	got, err := Paired([]float64{100, 50, 80, 20, 100, 64}, []float64{200, 100, 160, 40, 200, 128})
	if err != nil || got.Spread != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		a, b []float64
		says string
	}{
		"no rounds":          {nil, nil, "no rounds"},
		"unequal":            {[]float64{1, 2}, []float64{1}, "2 rounds to 1"},
		"a divisor of 0":     {[]float64{1, 2}, []float64{1, 0}, "number 1 is 2 to 0"},
		"0 by 0":             {[]float64{0}, []float64{0}, "number 0 is 0 to 0"},
		"NaN":                {[]float64{nan}, []float64{1}, "NaN to 1"},
		"by NaN":             {[]float64{1}, []float64{nan}, "1 to NaN"},
		"infinite":           {[]float64{inf}, []float64{1}, "+Inf to 1"},
		"by infinity":        {[]float64{1}, []float64{inf}, "1 to +Inf"},
		"negative":           {[]float64{-1}, []float64{1}, "-1 to 1"},
		"by what's negative": {[]float64{1}, []float64{-1}, "1 to -1"},
		"too great":          {[]float64{1e308}, []float64{1e-308}, "1e+308 to 1e-308"},
	} {
		if got, err := Paired(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v, want it to say %q", name, got, err, c.says)
		}
	}
	for _, values := range [][]float64{nil, {nan}, {1, inf}, {-inf}} {
		if got, err := Of(values); err == nil {
			t.Errorf("the median of %v is %v", values, got)
		}
	}
	if got, err := Paired([]float64{0, 0}, []float64{1, 2}); err != nil || got.Spread != (Spread{}) {
		t.Errorf("nothing to something is %v, %v", got, err)
	}
}
