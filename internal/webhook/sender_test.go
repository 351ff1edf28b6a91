package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func newTestSender(t *testing.T, config Config) *sender {
	t.Helper()
	if config.Secrets == nil {
		config.Secrets = []string{secret(0)}
	}
	s, err := newSender(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func aMessage() Message {
	return Message{ID: "0-7-0", Type: "hold.opened", Body: []byte(`{"type":"hold.opened"}`)}
}

// A shop verifies what it gets with the specification's own library, with
// either of the secrets while they change.
func TestSigned(t *testing.T) {
	t.Parallel()
	failures := make(chan error, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			failures <- err
		}
		for n, known := range map[string]bool{secret(0): true, secret(1): true, secret(2): false} {
			shop, err := standardwebhooks.NewWebhook(n)
			if err != nil {
				failures <- err
			}
			if err := shop.Verify(body, r.Header); (err == nil) != known {
				failures <- errors.Join(errors.New("verifying"), err)
			}
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("webhook-id") != "0-7-0" || r.URL.RequestURI() != "/hook?a=1" {
			failures <- errors.New(r.Method + " " + r.URL.RequestURI())
		}
	}))
	defer server.Close()
	s := newTestSender(t, Config{URL: server.URL + "/hook?a=1", Secrets: []string{secret(0), secret(1)}, AllowPrivate: true})
	if sent := s.send(t.Context(), aMessage()); !sent.delivered() || sent.status != 200 {
		t.Errorf("%+v", sent)
	}
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

// Only 2xx is success.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	s := newTestSender(t, Config{URL: server.URL, AllowPrivate: true})
	for code, delivered := range map[int]bool{200: true, 204: true, 299: true, 304: false, 400: false, 404: false, 410: false, 500: false} {
		status.Store(int64(code))
		if sent := s.send(t.Context(), aMessage()); sent.delivered() != delivered || sent.status != code || sent.gone() != (code == 410) {
			t.Errorf("%d: %+v", code, sent)
		}
	}
}

// A redirect is an answer like another, and leads nowhere.
func TestRedirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer target.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(target.URL, code))
		s := newTestSender(t, Config{URL: server.URL, AllowPrivate: true})
		if sent := s.send(t.Context(), aMessage()); sent.delivered() || sent.status != code {
			t.Errorf("%d: %+v", code, sent)
		}
		server.Close()
	}
	if reached.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// However much a shop answers, little of it is read.
func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	ended := make(chan int64, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var written int64
		for piece := make([]byte, 1<<20); ; {
			n, err := w.Write(piece)
			if written += int64(n); err != nil || written > 1<<30 {
				ended <- written
				return
			}
		}
	}))
	defer server.Close()
	s := newTestSender(t, Config{URL: server.URL, AllowPrivate: true})
	if sent := s.send(t.Context(), aMessage()); !sent.delivered() {
		t.Errorf("%+v", sent)
	}
	select {
	case written := <-ended:
		if written > 64<<20 {
			t.Errorf("the shop could write %d bytes", written)
		}
	case <-time.After(30 * time.Second):
		t.Error("the shop still writes")
	}
}

// The address that a name resolves to is looked at when it is dialled: a name
// that is public at first, and then not, does not get through.
func TestNotPublic(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newTestSender(t, Config{URL: "https://shop.example:" + port})
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // only the address keeps it out
	guarded := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return guarded(ctx, network, net.JoinHostPort("localhost", port)) // as the name resolves
	}
	if sent := s.send(t.Context(), aMessage()); !errors.Is(sent.err, ErrNotPublic) {
		t.Errorf("%+v", sent)
	}
	if reached.Load() > 0 {
		t.Error("it got through")
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	g := guard{reserved()}
	for address, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true, "172.32.0.1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "169.254.169.254": false,
		"192.0.0.8": false, "198.18.0.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:10.0.0.1": false, "::ffff:127.0.0.1": false, "::ffff:100.64.0.1": false, "::7f00:1": false, "64:ff9b::7f00:1": false, "64:ff9b::a00:1": false,
		"2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false, "192.88.99.1": false,
	} {
		if got := g.public(netip.MustParseAddr(address)); got != public {
			t.Errorf("%s: public is %t", address, got)
		}
	}
	for _, address := range []string{"", "name:80", "127.0.0.1", "[::1]:443"} {
		if err := g.control("tcp", address, nil); !errors.Is(err, ErrNotPublic) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := g.control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

// Passwords in the URL are nobody's business.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	s := newTestSender(t, Config{URL: "http://shop:hunter2@127.0.0.1:1/hook", AllowPrivate: true})
	sent := s.send(t.Context(), aMessage())
	if sent.delivered() || strings.Contains(sent.text(), "hunter2") || len(sent.text()) > maxErrorText {
		t.Errorf("%+v", sent)
	}
	if strings.Contains(s.url.Redacted(), "hunter2") {
		t.Error(s.url.Redacted())
	}
}

// The bodies of messages, in full.
func TestMessages(t *testing.T) {
	t.Parallel()
	const common = `"log":"aa","partition":0,"cause":7,"index":2`
	for name, c := range map[string]struct{ value, kind, body string }{
		"hold": {
			`{"id":"0-7-2","type":"request.confirmed",` + common + `,"time":"2025-06-15T15:06:40.123Z","product":"ring","sale":"0-1","request":"0-5","state":"confirmed","quantity":1,"requested_at":"2025-06-15T15:06:39.000Z","payment_reference":"pay-1","later":true}`,
			"hold.confirmed",
			`{"type":"hold.confirmed","timestamp":"2025-06-15T15:06:40.123Z","data":{"request":"0-5","product":"ring","sale":"0-1","state":"confirmed","quantity":1,"requested_at":"2025-06-15T15:06:39.000Z","payment_reference":"pay-1",` + common + `}}`,
		},
		"sale": {
			`{"id":"0-7-2","type":"sale.sold_out",` + common + `,"time":"2025-06-15T15:06:40.123Z","product":"ring","sale":"0-1","snapshot":{"sale":"0-1","product":"ring","state":"open","quantity":2,"hold_seconds":30,"per_buyer_limit":1,"max_quantity_per_request":1,"policy":"queue","available":0,"reserved":0,"held":2,"confirmed":0,"waitlisted":0,"parked":0,"requests":2,"sold_out":0,"rejected":0,"version":1,"created_at":"2025-06-15T15:06:40.123Z"}}`,
			"sale.sold_out",
			`{"type":"sale.sold_out","timestamp":"2025-06-15T15:06:40.123Z","data":{"sale":"0-1","product":"ring","state":"open","quantity":2,"hold_seconds":30,"per_buyer_limit":1,"max_quantity_per_request":1,"policy":"queue","available":0,"reserved":0,"held":2,"confirmed":0,"waitlisted":0,"parked":0,"requests":2,"sold_out":0,"rejected":0,"version":1,"created_at":"2025-06-15T15:06:40.123Z",` + common + `}}`,
		},
	} {
		m, told, err := messageOf([]byte(c.value))
		if err != nil || !told {
			t.Fatalf("%s: %t, %v", name, told, err)
		}
		if m.ID != "0-7-2" || m.Type != c.kind {
			t.Errorf("%s: %+v", name, m)
		}
		if diff := cmp.Diff(c.body, string(m.Body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for kind, want := range map[string]string{
		"request.held": "hold.opened", "request.expired": "hold.expired", "request.confirmed": "hold.confirmed",
		"request.waitlisted": "request.waitlisted", "sale.opened": "sale.opened", "sale.closed": "sale.closed",
		"request.extended": "", "requests.sold_out": "", "sale.changed": "", "command.done": "", "of.tomorrow": "",
	} {
		m, told, err := messageOf([]byte(`{"type":"` + kind + `"}`))
		if err != nil || told != (want != "") || m.Type != want {
			t.Errorf("%s: %q %t %v", kind, m.Type, told, err)
		}
	}
}
