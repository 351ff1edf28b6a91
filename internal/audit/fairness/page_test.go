package fairness

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// hostile is what somebody may write where a report shows it.
const hostile = `</style></title><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(1)>" onload="alert(1)`

// eventful is a sale of which a report has something in every part.
func eventful(t *testing.T, reason string) []sale.Record {
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 5, Policy: sale.PolicyWaitlist, WaitlistCapacity: 2, CheckoutURL: "https://shop.example/pay"})
	s.buys(of, 8)
	s.after(100).add("", sale.Tick{Committed: 10})
	s.buys(of, 3) // duplicates
	s.after(2000).add("ring", sale.Confirm{Request: 2, PaymentReference: "pay-1"})
	s.after(500).add("ring", sale.Release{Request: 3, By: sale.ByShopper})
	s.add("ring", sale.Pause{Sale: of, Actor: reason, Reason: reason})
	s.buy(of, "parked", 2)
	s.after(3000).add("ring", sale.Resume{Sale: of, Actor: "olga"})
	s.add("ring", sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(7))}, Actor: "mia", Reason: "two more"})
	s.add("ring", sale.Return{Request: 2})
	s.after(1).add("ring", sale.Buy{Sale: of, Buyer: "<b>bold</b>", Quantity: 1, AcceptedAt: s.now + 50})
	s.after(20_000).add("", sale.Tick{})
	s.add("ring", sale.Close{Sale: of, Reason: reason})
	return s.records
}

func reportOf(t *testing.T, records []sale.Record) *Report {
	t.Helper()
	report, err := Compute(t.Context(), &audit.History{Log: audittest.Of(saletest.Entries(records))}, Query{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func pageOf(t *testing.T, report *Report) (string, *html.Node) {
	t.Helper()
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	root, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	return text, root
}

// TestPageStandsAlone: the page has nothing that runs, and nothing that
// comes from elsewhere or leads there, whatever others have written.
func TestPageStandsAlone(t *testing.T) {
	t.Parallel()
	report := reportOf(t, eventful(t, hostile))
	report.Sales[0].Product = hostile // no log has such a product
	report.Sales[0].Settings.CheckoutURL = hostile
	report.Sales[0].Buyers.MostBy = hostile
	report.Sales = append(report.Sales, report.Sales[0]) // for the list of links
	_, root := pageOf(t, report)
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
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style" || a.Key == "href" && !local || strings.Contains(a.Val, "://") {
				t.Errorf("%s has %s=%q", node.Data, a.Key, a.Val)
			}
		}
	}
	if told < 10 {
		t.Errorf("what others wrote is shown as text %d times", told)
	}
}

// TestPageNamesNoAddress: nothing in the page itself looks like one.
func TestPageNamesNoAddress(t *testing.T) {
	t.Parallel()
	report := reportOf(t, eventful(t, "a break"))
	report.Sales[0].Created.CheckoutURL, report.Sales[0].Settings.CheckoutURL = "", ""
	text, _ := pageOf(t, report)
	for _, no := range []string{"://", "src=", "url(", "@import", "<script", "javascript:"} {
		if strings.Contains(text, no) {
			t.Errorf("the page has %s", no)
		}
	}
	if !strings.Contains(text, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("the page does not forbid what it does not need")
	}
}

// TestPageSays what the report has.
func TestPageSays(t *testing.T) {
	t.Parallel()
	report := reportOf(t, eventful(t, "a break"))
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page, _ := pageOf(t, report)
	for _, both := range []string{
		"First come, first served: no inversion among", "a break", "quantity 5 → 7", "two more", "duplicate", "olga", "mia",
		report.Partitions[0].RecordDigest, report.Partitions[0].DecisionDigest, "1 request was apart: negative", "https://shop.example/pay",
	} {
		if !strings.Contains(page, both) {
			t.Errorf("the page does not say %q", both)
		}
		if !strings.Contains(text.String(), both) {
			t.Errorf("the text does not say %q", both)
		}
	}
	report.Sales[0].Order.Inversions = 102
	report.Sales[0].Order.Listed = []Inversion{{Cause: 6, Index: 1, Request: 5, Quantity: 1, Earlier: 4, EarlierQuantity: 1, PassedOver: 1}}
	text.Reset()
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page, _ = pageOf(t, report)
	for _, both := range []string{"Not in order: 102 inversions among", "request 5 got 1 unit while request 4 waited for 1", "and 101 more"} {
		if !strings.Contains(page, both) || !strings.Contains(text.String(), both) {
			t.Errorf("page or text do not say %q", both)
		}
	}
}

// TestTextObeysNobody: a terminal is shown what others wrote, and obeys
// none of it.
func TestTextObeysNobody(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := reportOf(t, eventful(t, "a\x1b[2Jbreak\nSale 0-9")).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "\x1b") || !strings.Contains(text.String(), `a\x1b[2Jbreak\nSale 0-9`) {
		t.Errorf("the text is\n%s", text.String())
	}
}

// TestSameLogSameReport: a report depends on the log alone.
func TestSameLogSameReport(t *testing.T) {
	t.Parallel()
	records := eventful(t, "a break")
	first, _ := pageOf(t, reportOf(t, records))
	for range 5 {
		if again, _ := pageOf(t, reportOf(t, records)); again != first {
			t.Fatal("two reports of one log differ")
		}
	}
}

// TestEmptyLog: there may be nothing to report on.
func TestEmptyLog(t *testing.T) {
	t.Parallel()
	report := reportOf(t, newStory(t).records)
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page, _ := pageOf(t, report)
	if !strings.Contains(text.String(), "The log has no sale.") || !strings.Contains(page, "The log has no sale.") {
		t.Errorf("text and page are\n%s\n%s", text.String(), page)
	}
}

// TestActions shows what operators did, what came of it, and why.
func TestActions(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	of := s.create(sale.Settings{Quantity: 2, Policy: sale.PolicyQueue})
	s.add("ring", sale.Create{Rules: sale.NewestRules, Settings: sale.Settings{Quantity: 1, HoldSeconds: 1, MaxHoldSeconds: 1, PerBuyerLimit: 1, MaxQuantityPerRequest: 1, Policy: sale.PolicyQueue}, BuyerKey: "b1", Later: true})
	s.add("ring", sale.Resume{Sale: of})
	s.add("ring", sale.Pause{Sale: of, Actor: "olga", Reason: "fire"})
	s.add("ring", sale.Pause{Sale: of})
	s.add("ring", sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(3)), Policy: new(sale.PolicyWaitlist)}})
	s.add("ring", sale.Update{Sale: of, Version: 1, Change: sale.Change{Quantity: new(int64(4))}})
	s.add("ring", sale.Update{Sale: of, Version: 9, Change: sale.Change{Quantity: new(int64(3))}})
	s.add("ring", sale.Resume{Sale: of})
	s.add("ring", sale.Close{Sale: of})
	s.add("ring", sale.Close{Sale: of})
	s.add("ring", sale.Pause{Sale: of})
	s.add("ring", sale.Pause{Sale: 7})
	var did []string
	for _, a := range reportOf(t, s.records).Sales[0].Actions {
		did = append(did, strings.TrimSpace(strings.Join([]string{a.Action, a.Result, a.Actor, a.Reason, a.words()}, " ")))
	}
	want := []string{
		"sale.create done olga launch", "sale.create already_open", "sale.resume already_so", "sale.pause done olga fire", "sale.pause already_so",
		"sale.update done   quantity 2 → 3, policy queue → waitlist", "sale.update stale_version", "sale.update already_so",
		"sale.resume done", "sale.close done", "sale.close already_so", "sale.pause sale_closed",
	}
	if !slices.Equal(did, want) {
		t.Errorf("actions\n%s\nwant\n%s", strings.Join(did, "\n"), strings.Join(want, "\n"))
	}
}
