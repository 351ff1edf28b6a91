package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/whatif"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// TestAuditWhatif replays a sale with other settings on the embedded stack.
func TestAuditWhatif(t *testing.T) {
	w, created, _, bob := soldOutWorld(t)
	bobs := w.parse(t, bob).PublicID()
	ask := func(arguments string) (code int, out, complaints string) {
		t.Helper()
		return try(t, append([]string{"audit", "whatif", "--kafka-brokers", w.kafka, "--topic", w.topic}, strings.Fields(arguments)...)...)
	}
	for arguments, c := range map[string]struct {
		code int
		says []string
	}{
		"--product console --quantity 2":                                     {exitDone, []string{"Sale " + created.Sale, "1 request ends otherwise", bobs + " was waitlisted, would be held", "never confirms it"}},
		"--sale " + created.Sale + " --policy queue":                         {exitDone, []string{bobs + " was waitlisted, would be sold_out"}},
		"--product console --policy waitlist":                                {exitDone, []string{"Every record is decided in the same way"}},
		"--product console --waitlist-capacity 0":                            {exitDone, []string{"waitlist capacity", bobs + " was waitlisted, would be sold_out"}},
		"--product console --hold-seconds 60":                                {exitDone, []string{"hold seconds", "0 requests end otherwise"}},
		"--product console --max-hold-seconds 900":                           {exitDone, []string{"max hold seconds"}},
		"--product console --admit-per-second 5":                             {exitDone, []string{"admit per second"}},
		"--product console --max-active-holds 5":                             {exitDone, []string{"max active holds"}},
		"--product console --per-buyer-limit 5":                              {exitDone, []string{"per-buyer limit"}},
		"--product console --opens-at 2099-01-01T00:00:00Z --closes-at none": {exitDone, []string{"2099-01-01T00:00:00.000Z", "would be rejected (not_open)"}},

		"--quantity 2":                                            {exitMisuse, []string{"Give --product or --sale"}},
		"--product console":                                       {exitMisuse, []string{"no setting is given"}},
		"--product Console --quantity 2":                          {exitMisuse, []string{"a product is 1 to 64"}},
		"--sale x --quantity 2":                                   {exitMisuse, []string{"as 0-1"}},
		"--product console --quantity 0":                          {exitMisuse, []string{"quantity must be from 1"}},
		"--product console --quantity many":                       {exitMisuse, []string{"--quantity"}},
		"--product console --policy lottery":                      {exitMisuse, []string{`not "lottery"`}},
		"--product console --max-quantity-per-request 2":          {exitMisuse, []string{"max_quantity_per_request must be from 1 to 1"}},
		"--product console --hold-seconds 600000":                 {exitMisuse, []string{"max_hold_seconds must be from 600000"}},
		"--product console --opens-at soon":                       {exitMisuse, []string{"is no time"}},
		"--product lamp --sale " + created.Sale + " --quantity 2": {exitMisuse, []string{"is of product console, not lamp"}},
		"--product lamp --quantity 2":                             {exitFailed, []string{`product "lamp" has no sale in the log`}},
		"--sale " + bobs + " --quantity 2":                        {exitFailed, []string{bobs + " is no sale.create"}},
		"--sale 0-100000 --quantity 2":                            {exitFailed, []string{"ends before offset"}},
		"--sale 7-1 --quantity 2":                                 {exitFailed, []string{"no partition 7"}},
	} {
		t.Run(arguments, func(t *testing.T) {
			code, out, complaints := ask(arguments)
			for _, says := range c.says {
				if code != c.code || !strings.Contains(out+complaints, says) {
					t.Errorf("exit %d, want %d, saying %q; it said:\n%s%s", code, c.code, says, out, complaints)
				}
			}
			if c.code != exitDone && out != "" {
				t.Errorf("it printed %s", out)
			}
		})
	}

	var compared whatif.Comparison
	code, out, complaints := ask("--product console --quantity 2 --json")
	if err := json.Unmarshal([]byte(out), &compared); err != nil || code != exitDone || complaints != "" {
		t.Fatalf("exit %d, %v, %s%s", code, err, out, complaints)
	}
	if compared.Sale != created.Sale || compared.Requests != 2 || compared.Otherwise != 1 || compared.Was.Confirmed != 1 || compared.Would.Held != 1 ||
		compared.Would.Quantity != 2 || len(compared.First) != 1 || compared.First[0].Would.State != sale.Held || compared.Parts == nil || len(compared.CannotKnow) != 3 {
		t.Errorf("compared %s", out)
	}
	if code, _, complaints := try(t, "audit", "whatif", "--product", "console", "--quantity", "2"); code != exitMisuse || !strings.Contains(complaints, "ANTEROOM_KAFKA_BROKERS") {
		t.Errorf("without brokers: exit %d, %s", code, complaints)
	}
}
