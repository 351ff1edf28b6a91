package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeService answers operators' calls with what it is told to, and notes them.
type fakeService struct {
	url string

	mu      sync.Mutex
	calls   []string          // method, path and query, If-Match, body
	answers map[string]string // by method and path; "409 {...}" where it is not 200
}

func newFakeService(t *testing.T, answers map[string]string) *fakeService {
	t.Helper()
	f := &fakeService{answers: answers}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	said := r.Method + " " + r.URL.RequestURI()
	answer, found := f.answers[said]
	for _, more := range []string{r.Header.Get("If-Match"), string(body)} {
		if more != "" {
			said += " " + more
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, said)
	code := http.StatusOK
	if !found {
		code = http.StatusNotFound
	}
	if _, err := fmt.Sscanf(answer, "%d", &code); err == nil {
		answer = answer[4:]
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer)
}

// try runs a command of operators.
func (f *fakeService) try(t *testing.T, arguments ...string) (code int, out, complaints string) {
	t.Helper()
	return try(t, append(append([]string{"sale"}, arguments...), "--url", f.url, "--operator-token", "secret")...)
}

// A sale as the service shows it.
const (
	shown = `{"sale":"2-17","product":"console","partition":2,"state":"open","quantity":100,"hold_seconds":480,"max_hold_seconds":1800,` +
		`"per_buyer_limit":2,"max_quantity_per_request":1,"policy":"waitlist","waitlist_capacity":50,"closes_at":"2027-03-01T12:00:00.000Z",` +
		`"admit_per_second":5,"max_active_holds":20,"checkout_url":"https://shop.test/pay","available":5,"reserved":15,"held":20,"confirmed":60,` +
		`"waitlisted":7,"parked":0,"requests":1207,"sold_out":1100,"rejected":5,"line":31,"version":7,` +
		`"created_at":"2027-03-01T09:59:00.123Z","opened_at":"2027-03-01T10:00:00.000Z"}`
	plainSale = `{"sale":"0-1","product":"ticket","state":"paused","quantity":1,"hold_seconds":480,"max_hold_seconds":1800,"per_buyer_limit":1,` +
		`"max_quantity_per_request":1,"policy":"queue","waitlist_capacity":0,"stopped":"the topic\u001b[2J is another","held":1,"parked":3,"requests":1,"version":1,` +
		`"created_at":"2027-03-01T10:00:00Z"}`
	closedSale = `{"sale":"2-17","product":"console","state":"closed","quantity":100,"available":5,"reserved":1,"held":20,"confirmed":74,"closed_at":"2027-03-01T12:00:00Z"}`
)

// TestSaleCalls shows what each command asks the service.
func TestSaleCalls(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command string
		calls   []string
	}{
		"the least create": {"create console --quantity 2", []string{`POST /v1/sales {"product":"console","quantity":2}`}},
		"create with all": {
			"create console --quantity 2 --hold-seconds 60 --max-hold-seconds 120 --per-buyer-limit 3 --max-quantity-per-request 2 --policy reject --waitlist-capacity 0" +
				" --opens-at 2027-03-01T11:00:00+01:00 --closes-at 2027-03-01T12:00:00.5Z --admit-per-second 10 --max-active-holds 50 --checkout-url https://shop.test/pay --partition 0 --actor mia --reason launch",
			[]string{`POST /v1/sales {"product":"console","quantity":2,"hold_seconds":60,"max_hold_seconds":120,"per_buyer_limit":3,"max_quantity_per_request":2,"policy":"reject","waitlist_capacity":0,` +
				`"opens_at":"2027-03-01T10:00:00Z","closes_at":"2027-03-01T12:00:00.5Z","admit_per_second":10,"max_active_holds":50,"checkout_url":"https://shop.test/pay","partition":0,"actor":"mia","reason":"launch"}`},
		},
		"create with none": {"create console --quantity 2 --opens-at none --closes-at none --checkout-url none --admit-per-second 0", []string{`POST /v1/sales {"product":"console","quantity":2}`}},
		"list":             {"list", []string{"GET /v1/sales"}},
		"show":             {"show console", []string{"GET /v1/sales/console"}},
		"update of the version seen": {
			"update console --version 6 --quantity 120 --actor mia --reason more",
			[]string{`PATCH /v1/sales/console "6" {"quantity":120,"actor":"mia","reason":"more"}`},
		},
		"update of whatever version": {
			"update console --policy queue --hold-seconds 60 --max-hold-seconds 90 --per-buyer-limit 4 --max-quantity-per-request 3 --closes-at 2027-03-01T13:00:00Z",
			[]string{"GET /v1/sales/console", `PATCH /v1/sales/console "7" {"hold_seconds":60,"max_hold_seconds":90,"per_buyer_limit":4,"max_quantity_per_request":3,"policy":"queue","closes_at":"2027-03-01T13:00:00Z"}`},
		},
		"update that takes away": {
			"update console --version 7 --opens-at none --closes-at none --checkout-url none --waitlist-capacity 0 --admit-per-second 0 --max-active-holds 0",
			[]string{`PATCH /v1/sales/console "7" {"waitlist_capacity":0,"admit_per_second":0,"max_active_holds":0,"checkout_url":"","opens_at":null,"closes_at":null}`},
		},
		"pause":                     {"pause console --actor mia --reason fire", []string{`POST /v1/sales/console/pause {"actor":"mia","reason":"fire"}`}},
		"resume":                    {"resume console --reason out", []string{`POST /v1/sales/console/resume {"reason":"out"}`}},
		"close":                     {"close console", []string{`POST /v1/sales/console/close {}`}},
		"requests":                  {"requests console", []string{"GET /v1/sales/console/requests?limit=101"}},
		"requests in a state":       {"requests console --state sold_out --limit 5 --after 2-40", []string{"GET /v1/sales/console/requests?after=2-40&limit=6&state=sold_out"}},
		"all requests":              {"requests console --all --limit 5", []string{"GET /v1/sales/console/requests?limit=1000"}},
		"more requests than a page": {"requests console --limit 5000", []string{"GET /v1/sales/console/requests?limit=1000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]string{
				"POST /v1/sales": "201 " + shown, "GET /v1/sales": `{"sales":[]}`, "GET /v1/sales/console": shown, "PATCH /v1/sales/console": shown,
				"POST /v1/sales/console/pause": shown, "POST /v1/sales/console/resume": shown, "POST /v1/sales/console/close": closedSale,
			}
			for _, call := range c.calls {
				if call, isPage := strings.CutPrefix(call, "GET /v1/sales/console/requests"); isPage {
					answers["GET /v1/sales/console/requests"+call] = `{"requests":[]}`
				}
			}
			f := newFakeService(t, answers)
			if code, out, complaints := f.try(t, strings.Fields(c.command)...); code != exitDone || complaints != "" {
				t.Errorf("exit %d: %s%s", code, out, complaints)
			}
			if diff := cmp.Diff(c.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSaleMisuse shows that what cannot be meant is not asked.
func TestSaleMisuse(t *testing.T) {
	t.Parallel()
	f := newFakeService(t, nil)
	for command, says := range map[string]string{
		"create console":                                     "--quantity",
		"create console --quantity 0":                        "--quantity must be at least 1",
		"create console --quantity 2 --hold-seconds 0":       "--hold-seconds must be at least 1",
		"create console --quantity 2 --per-buyer-limit 0":    "--per-buyer-limit must be at least 1",
		"create console --quantity 2 --waitlist-capacity=-1": "--waitlist-capacity must be at least 0",
		"create console --quantity 2 --policy lottery":       "lottery",
		"create console --quantity 2 --opens-at tomorrow":    `"tomorrow" is no time`,
		"create console --quantity 2 --opens-at 10m":         `"10m" is no time`,
		"create console --quantity 2 --opens-at +-10m":       `"+-10m" is no time`,
		"create console --quantity 2 --closes-at 2027-03-01": `"2027-03-01" is no time`,
		"update console": "no setting",
		"update console --reason why --actor mia --version 3":  "no setting",
		"update console --quantity 3 --version 0":              "--version must be at least 1",
		"update console --quantity 0":                          "--quantity must be at least 1",
		"update":                                               "<product>",
		"pause":                                                "<product>",
		"close console twice":                                  "twice",
		"requests console --state gone":                        "gone",
		"requests console --limit 0":                           "--limit must be at least 1",
		"watch console --interval 1ms":                         "--interval must be from",
		"watch console --patience 0s":                          "--patience must be above 0",
		"watch console --url http://mia:secret@127.0.0.1:8080": "must have no user",
	} {
		t.Run(command, func(t *testing.T) {
			arguments := append([]string{"sale"}, strings.Fields(command)...)
			if !strings.Contains(command, "--url") {
				arguments = append(arguments, "--url", f.url)
			}
			code, out, complaints := try(t, arguments...)
			if code != exitMisuse || !strings.Contains(complaints, says) {
				t.Errorf("exit %d, want %d and %q: %s%s", code, exitMisuse, says, out, complaints)
			}
		})
	}
	if len(f.calls) != 0 {
		t.Errorf("it asked the service: %q", f.calls)
	}
}

// TestSaleRefusals shows what an operator hears where the service does not do
// it, or cannot tell.
func TestSaleRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command, at, answer string
		says, saysNot       string
	}{
		"open already": {
			"create console --quantity 2", "POST /v1/sales", `409 {"code":"already_open","title":"no","detail":"sale 2-17 is open"}`,
			"anteroom: creating the sale: sale 2-17 is open (409 already_open)\n", "may have been done",
		},
		"stale": {
			"update console --quantity 2 --version 3", "PATCH /v1/sales/console", `412 {"code":"stale_version","title":"The sale has been changed since"}`,
			"changing version 3 of the sale: The sale has been changed since (412 stale_version)", "may have been done",
		},
		"in use": {
			"update console --quantity 2 --version 3", "PATCH /v1/sales/console", `409 {"code":"quantity_in_use","detail":"5 units are held"}`,
			"5 units are held (409 quantity_in_use)", "",
		},
		"not a sale":        {"update console --quantity 2", "GET /v1/sales/console", `404 {"code":"unknown_product","title":"not on sale"}`, "reading the version of the sale: not on sale (404 unknown_product)", ""},
		"scheduled":         {"pause console", "POST /v1/sales/console/pause", `409 {"code":"not_open","title":"not yet"}`, "pausing the sale: not yet (409 not_open)", ""},
		"closed":            {"resume console", "POST /v1/sales/console/resume", `409 {"code":"sale_closed","title":"over"}`, "resuming the sale: over (409 sale_closed)", ""},
		"cannot tell":       {"close console", "POST /v1/sales/console/close", `503 {"code":"unavailable","detail":"the log is away"}`, "closing the sale: the log is away (503 unavailable); it may have been done: anteroom sale show console", ""},
		"cannot list":       {"list", "GET /v1/sales", `503 {"code":"unavailable","title":"cannot tell"}`, "listing sales: cannot tell (503 unavailable)", "may have been done"},
		"cannot list these": {"requests console", "GET /v1/sales/console/requests?limit=101", `503 {"code":"unavailable","title":"cannot tell"}`, "listing requests: ", ""},
		"not allowed":       {"watch console", "GET /v1/sales/console", `401 {"code":"unauthorized","title":"needs a token"}`, "watching the sale: needs a token (401 unauthorized)", "asking again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeService(t, map[string]string{c.at: c.answer})
			code, out, complaints := f.try(t, strings.Fields(c.command)...)
			if code != exitFailed || out != "" || !strings.Contains(complaints, c.says) {
				t.Errorf("exit %d, want %d, saying %q: %s%s", code, exitFailed, c.says, out, complaints)
			}
			if c.saysNot != "" && strings.Contains(complaints, c.saysNot) {
				t.Errorf("it says %q: %s", c.saysNot, complaints)
			}
		})
	}
}

// TestSaleTables holds what people are shown.
func TestSaleTables(t *testing.T) {
	t.Parallel()
	scheduled := strings.Replace(shown, `"state":"open"`, `"state":"scheduled","opens_at":"2027-03-01T10:00:00Z"`, 1)
	f := newFakeService(t, map[string]string{
		"GET /v1/sales":                 `{"sales":[` + shown + "," + plainSale + `]}`,
		"GET /v1/sales/console":         scheduled,
		"GET /v1/sales/ticket":          plainSale,
		"POST /v1/sales/console/pause":  strings.Replace(shown, `"open"`, `"paused"`, 1),
		"POST /v1/sales/ticket/pause":   plainSale,
		"POST /v1/sales/console/resume": shown,
		"POST /v1/sales/console/close":  closedSale,
		"GET /v1/sales/console/requests?limit=101": `{"requests":[` +
			`{"id":"2-18","sale":"2-17","state":"confirmed","quantity":1,"requested_at":"2027-03-01T10:00:00Z","decided_at":"2027-03-01T10:00:00.2Z","payment_reference":"order-1"},` +
			`{"id":"2-19","sale":"2-17","state":"rejected","reason":"duplicate","quantity":1,"requested_at":"2027-03-01T10:00:00Z","decided_at":"2027-03-01T10:00:00.2Z","first":"2-18"},` +
			`{"id":"2-1000","sale":"2-17","state":"queued","quantity":1,"requested_at":"2027-03-01T10:00:07Z"}]}`,
		"GET /v1/sales/ticket/requests?limit=101": `{"requests":[]}`,
	})
	for command, want := range map[string]string{
		"list": `
PRODUCT  SALE  STATE             QUANTITY  AVAILABLE  RESERVED  HELD  CONFIRMED  WAITLISTED  REQUESTS  LINE  CREATED
console  2-17  open                   100          5        15    20         60           7      1207    31  2027-03-01T09:59:00Z
ticket   0-1   paused (stopped)         1          0         0     1          0           0         1     0  2027-03-01T10:00:00Z
`,
		"show console": `
product   console, in partition 2
sale      2-17, version 7
state     scheduled
units     100: 5 available, 15 reserved, 20 held, 60 confirmed
requests  1207 decided, of which 1100 sold out, 5 rejected
waiting   31 in the line, 7 on the waitlist, 0 for the end of a pause
policy    waitlist of at most 50
holds     480 s, 1800 s with extensions
limits    2 per buyer, 1 per request
pace      5 checkout windows a second, at most 20 held at once
checkout  https://shop.test/pay
opens     2027-03-01T10:00:00Z
closes    2027-03-01T12:00:00Z
created   2027-03-01T09:59:00Z
opened    2027-03-01T10:00:00Z
`,
		"show ticket": `
product   ticket, in partition 0
sale      0-1, version 1
state     paused
stopped   the topic\x1b[2J is another
units     1: 0 available, 0 reserved, 1 held, 0 confirmed
requests  1 decided, of which 0 sold out, 0 rejected
waiting   0 in the line, 0 on the waitlist, 3 for the end of a pause
policy    queue
holds     480 s, 1800 s with extensions
limits    1 per buyer, 1 per request
pace      as fast as they come
checkout  none
opens     at once
closes    never by itself
created   2027-03-01T10:00:00Z
`,
		"pause console": `
console: sale 2-17 is paused: 60 units confirmed, 20 held, 15 reserved, 5 available; 0 requests wait for it to go on.
`,
		"resume console": `
console: sale 2-17 is open: 60 units confirmed, 20 held, 15 reserved, 5 available; 7 requests wait on the waitlist.
`,
		"close console": `
console: sale 2-17 is closed since 2027-03-01T12:00:00Z: 74 units confirmed, 20 held, 1 reserved, 5 available; what is held or reserved can still be paid for.
`,
		"requests console": `
REQUEST       STATE       REASON          QUANTITY  REQUESTED             DECIDED               PAYMENT           FIRST
2-18          confirmed                          1  2027-03-01T10:00:00Z  2027-03-01T10:00:00Z  order-1
2-19          rejected    duplicate              1  2027-03-01T10:00:00Z  2027-03-01T10:00:00Z                    2-18
2-1000        queued                             1  2027-03-01T10:00:07Z
`,
		"requests ticket": `
REQUEST       STATE       REASON          QUANTITY  REQUESTED             DECIDED               PAYMENT           FIRST
`,
		"list --json | head -c": "[\n  {\n    \"sale\": \"2-17\",",
	} {
		command, head := strings.CutSuffix(command, " | head -c")
		code, out, complaints := f.try(t, strings.Fields(command)...)
		if want = strings.TrimPrefix(want, "\n"); head {
			out = out[:min(len(out), len(want))]
		}
		if diff := cmp.Diff(want, out); code != exitDone || diff != "" {
			t.Errorf("%s: exit %d %s (-want +got):\n%s", command, code, complaints, diff)
		}
	}
}

// TestRequestsByPages shows that the pages are one list.
func TestRequestsByPages(t *testing.T) {
	t.Parallel()
	request := func(id string) string {
		return `{"id":"` + id + `","sale":"0-1","state":"held","quantity":1,"requested_at":"2027-03-01T10:00:00Z"}`
	}
	f := newFakeService(t, map[string]string{
		"GET /v1/sales/console/requests?limit=1000":           `{"requests":[` + request("0-2") + "," + request("0-3") + `],"next":"0-3"}`,
		"GET /v1/sales/console/requests?after=0-3&limit=1000": `{"requests":[` + request("0-9") + `]}`,
		"GET /v1/sales/console/requests?limit=3":              `{"requests":[` + request("0-2") + "," + request("0-3") + "," + request("0-9") + `]}`,
		"GET /v1/sales/console/requests?limit=4":              `{"requests":[` + request("0-2") + "," + request("0-3") + "," + request("0-9") + `]}`,
		"GET /v1/sales/broken/requests?limit=1000":            `{"requests":[` + request("0-2") + "," + request("0-3") + `],"next":"0-3"}`,
		"GET /v1/sales/broken/requests?after=0-3&limit=1000":  `503 {"code":"unavailable","title":"cannot tell"}`,
	})
	code, out, complaints := f.try(t, "requests", "console", "--all", "--json")
	want := request("0-2") + "\n" + request("0-3") + "\n" + request("0-9") + "\n"
	if diff := cmp.Diff(want, out); code != exitDone || complaints != "" || diff != "" {
		t.Errorf("all: exit %d %s (-want +got):\n%s", code, complaints, diff)
	}
	code, out, complaints = f.try(t, "requests", "console", "--limit", "2", "--json")
	if strings.Count(out, "\n") != 2 || code != exitDone || !strings.Contains(complaints, "--after 0-3") {
		t.Errorf("two of three: exit %d %s%s", code, out, complaints)
	}
	code, out, complaints = f.try(t, "requests", "console", "--limit", "3")
	if strings.Count(out, "\n") != 4 || code != exitDone || complaints != "" {
		t.Errorf("three of three: exit %d %s%s", code, out, complaints)
	}
	code, out, complaints = f.try(t, "requests", "broken", "--all")
	if !strings.Contains(out, "0-3") || code != exitFailed || !strings.Contains(complaints, "listing requests after 0-3") || !strings.Contains(complaints, "503 unavailable") {
		t.Errorf("a list that breaks: exit %d %s%s", code, out, complaints)
	}
}

// TestRequestBlocks shows that a long list is printed in blocks that read as one
// table.
func TestRequestBlocks(t *testing.T) {
	t.Parallel()
	var pages [3]string
	for i := range 2*requestPage + 1 {
		pages[i/requestPage] += fmt.Sprintf(`,{"id":"0-%d","sale":"0-1","state":"held","quantity":1,"requested_at":"2027-03-01T10:00:00Z"}`, i+2)
	}
	f := newFakeService(t, map[string]string{
		"GET /v1/sales/console/requests?limit=1000":              `{"requests":[` + pages[0][1:] + `],"next":"0-1001"}`,
		"GET /v1/sales/console/requests?after=0-1001&limit=1000": `{"requests":[` + pages[1][1:] + `],"next":"0-2001"}`,
		"GET /v1/sales/console/requests?after=0-2001&limit=1000": `{"requests":[` + pages[2][1:] + `]}`,
	})
	code, out, complaints := f.try(t, "requests", "console", "--all")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != exitDone || len(lines) != 1+2*requestPage+1 || strings.Count(out, "REQUEST ") != 1 {
		t.Fatalf("exit %d, %d lines, %s", code, len(lines), complaints)
	}
	for i, line := range lines[1:] {
		if !strings.HasPrefix(line, fmt.Sprintf("0-%d ", i+2)) || strings.Index(line, "held") != strings.Index(lines[0], "STATE") {
			t.Fatalf("line %d: %s", i, line)
		}
	}
}

// TestMoments shows what times an operator can give.
func TestMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 1, 10, 0, 0, 123456789, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"none":                      "0001-01-01T00:00:00Z",
		"+0s":                       "2027-03-01T09:00:00.123Z",
		"+1h30m":                    "2027-03-01T10:30:00.123Z",
		"2027-03-01T11:00:00+01:00": "2027-03-01T10:00:00Z",
		"2027-03-01T11:00:00.9999Z": "2027-03-01T11:00:00.999Z",
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || m.time(now).Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %s, %v, want %s", text, m.time(now).Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"", "+", "+1", "-10m", "+-1s", "1h", "now", "2027-03-01 10:00:00", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "None"} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a time: %+v", text, m)
		}
	}
}
