package fairness

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

//go:embed page.html.tmpl
var pageTemplate string

// WriteHTML writes the report as one page that needs nothing else: no script,
// no font, no picture, and it forbids browsers to load any.
func (r *Report) WriteHTML(out io.Writer) error {
	page, err := template.New("fairness").Funcs(template.FuncMap{
		"grouped": grouped, "percent": percent, "many": many, "manyWere": manyWere, "duration": durationText,
		"when": event.Instant.String,
	}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, r.page()); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// wholePage is the report as the template shows it.
type wholePage struct {
	*Report
	Title string
	Sales []pageSale
}

type pageSale struct {
	*SaleReport
	Fair          bool
	Verdict       string
	PassedOver    string
	AfterSoldOut  string
	Inversions    []string
	More          int64 // inversions
	Facts         []fact
	Outcomes      []bar
	Times         []pageTimes
	Buyers        []bar
	Filling       *chart
	PauseFacts    []fact
	BackFacts     []fact
	SettingsTable []pageSetting
	Actions       []pageAction
}

// fact is a number that stands alone.
type fact struct{ Name, Value, Note string }

type pageTimes struct {
	Name, Unit string
	Times      *Times
	Bars       []bar
	Negative   string
}

type pageSetting struct {
	Name, Created, Now string
	Changed            bool
}

type pageAction struct {
	*Action
	Words string
}

func (r *Report) page() *wholePage {
	page := &wholePage{Report: r, Title: "Fairness of " + many(int64(len(r.Sales)), "sale")}
	if len(r.Sales) == 1 {
		page.Title = fmt.Sprintf("Fairness of sale %s, %s", r.Sales[0].Sale, r.Sales[0].Product)
	}
	for i := range r.Sales {
		page.Sales = append(page.Sales, r.Sales[i].page())
	}
	return page
}

func (s *SaleReport) page() pageSale {
	page := pageSale{
		SaleReport: s, Fair: s.Order.Inversions == 0, Verdict: s.Order.verdict(),
		PassedOver: s.Order.passedOverText(), AfterSoldOut: s.Order.afterSoldOutText(),
		More: s.Order.Inversions - int64(len(s.Order.Listed)), Filling: s.Fill.chart(),
		Outcomes: s.outcomeBars(), Buyers: s.Buyers.bars(), Facts: s.facts(),
		PauseFacts: []fact{
			{"pauses", grouped(s.Pauses.Count), durationText(s.Pauses.Total) + " together"},
			{"requests kept", grouped(s.Pauses.Parked), "until the sale went on"},
			{"ends of holds moved", grouped(s.Pauses.HoldsMoved), "by as long as they ran in a pause"},
		},
		BackFacts: []fact{
			{"expired", many(s.Back.Expired.Units, "unit"), many(s.Back.Expired.Requests, "hold")},
			{"released", many(s.Back.Released.Units, "unit"), many(s.Back.Released.Requests, "request")},
			{"returned", many(s.Back.Returned.Units, "unit"), many(s.Back.Returned.Requests, "request")},
			{"free at the end", many(s.Back.Left, "unit"), "of those that came back"},
		},
	}
	for i := range s.Order.Listed {
		page.Inversions = append(page.Inversions, s.Order.Listed[i].words())
	}
	for _, of := range s.timesInOrder() {
		unit := "requests"
		if of.times == &s.Back.Idle {
			unit = "units"
		}
		page.Times = append(page.Times, pageTimes{Name: of.name, Unit: unit, Times: of.times, Bars: of.times.bars(), Negative: of.times.negativeText()})
	}
	created := settingsInOrder(s.Created)
	for i, is := range settingsInOrder(s.Settings) {
		page.SettingsTable = append(page.SettingsTable, pageSetting{is.name, created[i].value, is.value, is.value != created[i].value})
	}
	for i := range s.Actions {
		page.Actions = append(page.Actions, pageAction{&s.Actions[i], s.Actions[i].words()})
	}
	return page
}

func (s *SaleReport) facts() []fact {
	confirmed := Outcome{}
	for _, o := range s.Outcomes {
		if o.State == sale.Confirmed {
			confirmed = o
		}
	}
	return []fact{
		{"requests", grouped(s.Requests), fmt.Sprintf("by %s, for %s", many(s.Buyers.Buyers, "buyer"), many(s.Units, "unit"))},
		{"confirmed", percent(s.Fill.Rate), fmt.Sprintf("%s of %s", grouped(s.Fill.Confirmed), many(s.Fill.Quantity, "unit"))},
		{"requests that bought", percent(confirmed.RequestShare), many(confirmed.Requests, "request")},
		reached("sold out", s.Fill.SoldOut),
		reached("all confirmed", s.Fill.AllConfirmed),
		{"duplicates refused", grouped(s.Duplicates), "their buyer had a live request"},
	}
}

// reached tells how long after the opening the sale came to something.
func reached(name string, ms *int64) fact {
	if ms == nil {
		return fact{name, "never", "up to the report's end"}
	}
	return fact{name, durationText(*ms), "from the opening"}
}
