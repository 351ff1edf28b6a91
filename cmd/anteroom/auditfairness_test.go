package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/fairness"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// TestAuditFairness sells two units to four buyers and asks for the report,
// which needs nothing but the topic.
func TestAuditFairness(t *testing.T) {
	w := newWorld(t, devstacktest.Embedded(t), 2)
	ask := func(arguments ...string) (code int, out, complaints string) {
		return try(t, append([]string{"audit", "fairness", "--kafka-brokers", w.kafka, "--topic", w.topic}, arguments...)...)
	}
	if code, out, complaints := ask(); code != exitDone || !strings.Contains(out, "The log has no sale.") {
		t.Errorf("of an empty log: exit %d\n%s%s", code, out, complaints)
	}

	address := w.serveHere(t).public.Addr().String()
	created := w.openSale(t, address, client.NewSale{Product: "ring", Quantity: 2, HoldSeconds: 60, Actor: "olga", Reason: "<b>launch</b>"})
	awaitSale(t, []string{address}, "ring")
	var tickets []string
	for i, buyer := range []string{"ann", "bob", "cid", "dee"} {
		tickets = append(tickets, buy(t, address, "ring", buyer))
		await(t, buyer+"'s outcome", func() bool {
			is := state(t, address, tickets[i])
			return is == "held" || is == "waitlisted"
		})
	}
	merchant := w.client(t, address)
	await(t, "ann's confirmation", func() bool {
		_, err := merchant.Confirm(t.Context(), tickets[0], "pay-1")
		return err == nil
	})
	if _, err := merchant.Leave(t.Context(), tickets[1]); err != nil {
		t.Fatal(err)
	}
	await(t, "cid's unit", func() bool { return state(t, address, tickets[2]) == "held" })

	code, out, complaints := ask("--json")
	var report fairness.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitDone {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, complaints)
	}
	if len(report.Sales) != 1 || len(report.Partitions) != 2 {
		t.Fatalf("the report is of %d sales in %d partitions", len(report.Sales), len(report.Partitions))
	}
	of := report.Sales[0]
	if of.Sale != created.Sale || of.Requests != 4 || of.Order.Grants != 3 || of.Order.Inversions != 0 || of.Fill.Confirmed != 1 ||
		of.Back.Released.Units != 1 || of.Back.Idle.Count != 1 || of.Back.Idle.Max != 0 || of.Waits.LogToUnit.Count != 1 || of.Buyers.Buyers != 4 {
		t.Errorf("%+v", of)
	}
	if len(of.Actions) != 1 || of.Actions[0].Actor != "olga" || of.Actions[0].Reason != "<b>launch</b>" {
		t.Errorf("actions %+v", of.Actions)
	}

	if code, out, complaints := ask("--product", "ring", "--sale", created.Sale); code != exitDone || !strings.Contains(out, "no inversion among 3 grants") {
		t.Errorf("exit %d\n%s%s", code, out, complaints)
	}
	file := filepath.Join(t.TempDir(), "ring.html")
	if code, out, complaints := ask("--html", file); code != exitDone || out != file+": 1 sale, 0 inversions.\n" {
		t.Errorf("exit %d\n%s%s", code, out, complaints)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte("no inversion among 3 grants")) || !bytes.Contains(page, []byte("&lt;b&gt;launch")) {
		t.Errorf("the page is\n%s", page)
	}

	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"a product without a sale":   {[]string{"--product", "lamp"}, exitFailed, `no sale of "lamp", but of: ring`},
		"a sale that is none":        {[]string{"--sale", "0-999999"}, exitFailed, "offset 999999 of partition 0"},
		"a partition that is none":   {[]string{"--sale", "7-1"}, exitFailed, "partition 7 of 2"},
		"no product's name":          {[]string{"--product", "Ring"}, exitMisuse, `"Ring"`},
		"an empty product":           {[]string{"--product", ""}, exitMisuse, `""`},
		"no sale's id":               {[]string{"--sale", "ring"}, exitMisuse, `"ring"`},
		"two forms":                  {[]string{"--json", "--html", file}, exitMisuse, "--html"},
		"an unknown flag":            {[]string{"--colour"}, exitMisuse, "--colour"},
		"a file that cannot be made": {[]string{"--html", filepath.Join(file, "page")}, exitFailed, "writing the page"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, complaints := ask(c.arguments...)
			if code != c.code || !strings.Contains(complaints, c.says) {
				t.Errorf("exit %d, want %d, saying %q:\n%s%s", code, c.code, c.says, out, complaints)
			}
		})
	}
}

// TestAuditFairnessIsFalse where somebody was preferred, in every form.
func TestAuditFairnessIsFalse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.html")
	for name, c := range map[string]auditFairnessCommand{"text": {}, "JSON": {JSON: true}, "HTML": {HTML: &file}} {
		var out bytes.Buffer
		if err := c.tell(terminal{out: &out}, &fairness.Report{Inversions: 1}); !errors.Is(err, errFalse) || out.Len() == 0 {
			t.Errorf("%s: %v, said %q", name, err, out.String())
		}
		if err := c.tell(terminal{out: &out}, &fairness.Report{}); err != nil {
			t.Errorf("%s of a fair sale: %v", name, err)
		}
	}
}
