package report

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/html"
)

// hostile is what somebody may write where a report shows it.
const hostile = `</style></title><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(1)>" onload="alert(1)|` + "`"

// hostileReport has it in every part.
func hostileReport(t *testing.T) *Report {
	r := made(t)
	r.Command, r.Commit, r.Warnings = hostile, hostile, []string{hostile}
	e := &r.Environment
	for _, of := range []*string{&e.CPU, &e.Kernel, &e.Go, &e.Kafka, &e.Redis, &e.Postgres, &e.Java} {
		*of = hostile
	}
	e.Settings = []Setting{{hostile, hostile}}
	r.Ratios[hostile] = Ratio{Spread: Spread{1, 1, 1}, Reach: Reach{AtLeast, 2}, Unit: hostile, About: hostile}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		s.Name, s.Title, s.About = hostile, hostile, hostile
		for j := range s.Arms {
			a := &s.Arms[j]
			a.Name, a.Title, a.Settings = hostile, hostile, []Setting{{hostile, hostile}}
			for k := range a.Rounds {
				a.Rounds[k].Broken = []string{hostile}
				a.Rounds[k].Processes[0].Name = hostile
			}
			a.Rounds[0].Figures[hostile] = 1
		}
	}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPageStandsAlone: the page has nothing that runs, and nothing that
// comes from elsewhere or leads there, whatever others have written.
func TestPageStandsAlone(t *testing.T) {
	t.Parallel()
	root, err := html.Parse(strings.NewReader(faces(t, hostileReport(t))["html"]))
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for node := range root.Descendants() {
		if node.Type == html.TextNode && strings.Contains(node.Data, hostile) {
			told++
		}
		if node.Type == html.TextNode && node.Parent.Data == "style" && (strings.Contains(node.Data, "url(") || strings.Contains(node.Data, "@import") || strings.Contains(node.Data, "://")) {
			t.Errorf("the style loads something: %s", node.Data)
		}
		if node.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"script", "link", "base", "img", "image", "use", "iframe", "object", "embed", "audio", "video", "form", "foreignobject", "animate", "set"}, strings.ToLower(node.Data)) {
			t.Errorf("the page has a %s", node.Data)
		}
		for _, a := range node.Attr {
			local := a.Key == "href" && strings.HasPrefix(a.Val, "#")
			label := a.Key == "aria-label"
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style" || a.Key == "href" && !local || strings.Contains(a.Val, "://") && !label {
				t.Errorf("%s has %s=%q", node.Data, a.Key, a.Val)
			}
		}
	}
	if told < 50 {
		t.Errorf("what others wrote is shown as text %d times", told)
	}
}

// TestPageNamesNoAddress: nothing in the page itself looks like one.
func TestPageNamesNoAddress(t *testing.T) {
	t.Parallel()
	page := faces(t, made(t))["html"]
	for _, no := range []string{"://", "src=", "url(", "@import", "<script", "javascript:"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %s", no)
		}
	}
	if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("the page does not forbid what it does not need")
	}
}

// TestMarkdownStandsAlone: nothing that others wrote is markup or leads
// anywhere, and every row has as many cells as its table's head.
func TestMarkdownStandsAlone(t *testing.T) {
	t.Parallel()
	cells := 0
	for line := range strings.Lines(faces(t, hostileReport(t))["md"]) {
		if strings.HasPrefix(line, "Command: ``") { // code is shown as it is
			continue
		}
		for _, own := range []string{"<details><summary>Settings</summary>", "</details>"} {
			line = strings.TrimPrefix(line, own)
		}
		if strings.Contains(line, "<") || strings.Contains(line, "://") {
			t.Errorf("markup or an address: %s", line)
		}
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		bars := strings.Count(line, "|") - strings.Count(line, `\|`)
		if cells == 0 {
			cells = bars
		}
		if bars != cells {
			t.Errorf("%d cells in a table of %d: %s", bars-1, cells-1, line)
		}
	}
}

func TestEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1,000,000 buyers → 2: 12.5 (10–14), a_b_c": "1,000,000 buyers → 2: 12.5 (10–14), a_b_c",
		"_a_ *b* `c` [d] |e| ~f~ g\\h":              "\\_a\\_ \\*b\\* \\`c\\` \\[d\\] \\|e\\| \\~f\\~ g\\\\h",
		"<b> & ![x":                                 "&lt;b&gt; &amp; \\!\\[x",
		"- a":                                       "\\- a",
		"12. a. b":                                  "12\\. a. b",
		"http://a www.b c@d":                        "http\\:\\//a www\\.b c\\@d",
		"(_a_)":                                     "(\\_a\\_)",
	} {
		if got := escaped(text); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"a": "`a`", "a`b": "``a`b``", "`": "`` ` ``"} {
		if got := code(text); got != want {
			t.Errorf("code %q is written %q, want %q", text, got, want)
		}
	}
}

// TestTextObeysNobody: a terminal is shown what others wrote, and obeys none
// of it.
func TestTextObeysNobody(t *testing.T) {
	t.Parallel()
	r := made(t)
	r.Command = "a\x1b[2Jb\nc"
	r.Scenarios[0].Arms[0].Title = "a\x1b[2Jb"
	text := faces(t, r)["txt"]
	if strings.Contains(text, "\x1b") || !strings.Contains(text, `a\x1b[2Jb\nc`) {
		t.Errorf("the text is\n%s", text)
	}
}

// TestNothingIsHidden: what is bad stands in every face for people.
func TestNothingIsHidden(t *testing.T) {
	t.Parallel()
	r := made(t)
	r.Quick = true
	// One round of five oversold: a median would not show it.
	r.Scenarios[0].Arms[0].Rounds[3].Figures[Oversold] = 77
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	shown := faces(t, r)
	delete(shown, "json")
	for face, text := range shown {
		for _, says := range []string{
			"3 of 4 reached. NOT REACHED: stream", "NO", "yes, not surely", "a quick run", "the machine was not quiet: 4 % of the CPU was stolen",
			"naive, in 20,000 buyers, 10,000 units: 5 of 5 rounds", "naive, round 4: 844 units were sold that were not there",
			"0–77", "skip_locked has outcome_p99_ms in 4 of 5 rounds only.", "read committed", "synchronous_commit",
		} {
			if !strings.Contains(text, says) {
				t.Errorf("%s does not say %q", face, says)
			}
		}
		for _, says := range []string{"NOT REACHED", "a quick run", "not quiet"} {
			if strings.Index(text, says) > strings.Index(text, "What became of the requests") {
				t.Errorf("%s says %q after its figures", face, says)
			}
		}
	}
}

// TestReadAsWritten: what is read from a report's JSON has the same faces.
func TestReadAsWritten(t *testing.T) {
	t.Parallel()
	r := made(t)
	want := faces(t, r)
	again, err := Read(strings.NewReader(want["json"]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("report (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(want, faces(t, again)); diff != "" {
		t.Errorf("faces (-written +read):\n%s", diff)
	}
	for range 5 {
		if faces(t, r)["json"] != want["json"] {
			t.Fatal("the same report is not the same JSON")
		}
	}
}

// TestRatioJSON: programs find a ratio under its name, and nothing in it that
// was not set.
func TestRatioJSON(t *testing.T) {
	t.Parallel()
	r := Report{Ratios: map[string]Ratio{
		"b": {Spread: Spread{2, 1, 3}}, "a": {Spread: Spread{Median: 0.5, High: 1}, Reach: Reach{AtMost, 0.75}, Unit: "ms", About: "x ÷ y"},
	}}
	const want = `"ratios":{"a":{"median":0.5,"low":0,"high":1,"reach":"<= 0.75","unit":"ms","about":"x ÷ y"},"b":{"median":2,"low":1,"high":3}}`
	if got := faces(t, &r)["json"]; !strings.Contains(got, want) {
		t.Errorf("JSON\n%s\ndoes not have\n%s", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	whole := faces(t, made(t))["json"]
	for name, text := range map[string]string{
		"nothing": "", "half": whole[:len(whole)/2], "two": whole + whole, "something else": `{"command":"x"}`,
		"a later member": strings.Replace(whole, `"quick"`, `"slow"`, 1), "a reach": strings.Replace(whole, `">= 12"`, `"12"`, 1),
		"an array": "[]",
	} {
		if text == whole {
			t.Fatalf("%s: the report was not changed", name)
		}
		if r, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s is read as a report of %q", name, r.Command)
		}
	}
}

// TestNoNumber: JSON has none that is not a number, and the other faces show a
// dash.
func TestNoNumber(t *testing.T) {
	t.Parallel()
	r := made(t)
	r.Ratios["broken"] = Ratio{Spread: Spread{math.NaN(), math.Inf(-1), math.Inf(1)}, Reach: Reach{AtLeast, 1}}
	r.Scenarios[2].Arms[0].Curve[2] = CurvePoint{Load: math.NaN(), ClickP50: math.NaN(), GoodputPerSecond: math.Inf(1)}
	r.Scenarios[0].Arms[0].Rounds[0].Latency[2].MS = math.NaN()
	r.Scenarios[0].Arms[0].Rounds[0].Timeline[2].Answered = math.Inf(1)
	var out bytes.Buffer
	if err := r.WriteJSON(&out); err == nil || out.Len() > 0 {
		t.Errorf("%v, and %d bytes", err, out.Len())
	}
	for name, write := range map[string]func() error{
		"txt": func() error { return r.WriteText(&out) }, "md": func() error { return r.WriteMarkdown(&out) }, "html": func() error { return r.WriteHTML(&out) },
	} {
		out.Reset()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") || !strings.Contains(out.String(), "NOT REACHED: broken, stream") {
			t.Errorf("%s shows what is no number, or hides it", name)
		}
	}
}
