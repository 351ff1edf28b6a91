package ingress

import (
	"net/http"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, peer string
		held       bool
	}{
		{"10.1.0.0/16", "10.1.255.7:443", true},
		{"10.1.0.0/16", "10.2.0.0:443", false},
		{" 10.1.2.3 ", "10.1.2.3:1", true},
		{"10.1.2.3", "10.1.2.4:1", false},
		{"10.1.2.3", "[::ffff:10.1.2.3]:1", true}, // IPv4 on a socket of both
		{"::ffff:10.1.2.3", "10.1.2.3:1", true},
		{"fd00::/8", "[fd12::1]:1", true},
		{"fe80::/10", "[fe80::1%eth0]:1", true},
		{"fd00::/8", "[fe80::1]:1", false},
		{"::/0", "10.1.2.3:1", false},
		{"0.0.0.0/0", "192.0.2.1:1", true},
		{"0.0.0.0/0", "192.0.2.1", false}, // not what net/http says
		{"0.0.0.0/0", "@", false},         // a Unix socket
		{"0.0.0.0/0", "", false},
	} {
		networks, err := ParseNetworks([]string{"198.51.100.0/24", c.text})
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if networks.hold(c.peer) != c.held {
			t.Errorf("%q in %q: %t, expected %t", c.peer, c.text, !c.held, c.held)
		}
	}
	for _, text := range []string{"", "gateway", "10.1.2.3/16", "10.0.0.0/33", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8/8", "10.1.2.3:80"} {
		if networks, err := ParseNetworks([]string{text}); err == nil {
			t.Errorf("%q is %v", text, networks)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for peer, held := range map[string]bool{
		"127.0.0.1:1": true, "127.8.9.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		"[::2]:1": false, "10.0.0.1:1": false, "192.168.0.1:1": false,
	} {
		if Loopback().hold(peer) != held {
			t.Errorf("%s: %t, expected %t", peer, !held, held)
		}
	}
}

// TestHeaderIsOfTrustedProxies has calls from trusted and other peers.
func TestHeaderIsOfTrustedProxies(t *testing.T) {
	t.Parallel()
	proxies, err := ParseNetworks([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	named := func(c *Config) { c.Identify = Identity{Proxies: proxies}.Of }
	for name, c := range map[string]struct {
		change  func(*Config)
		peer    string
		headers http.Header
		code    int
		problem string
	}{
		"default, from here":         {nil, "127.0.0.1:1", http.Header{buyerHeader: {"ada"}}, 202, ""},
		"default, from here by IPv6": {nil, "[::1]:1", http.Header{buyerHeader: {"ada"}}, 202, ""},
		"default, from elsewhere":    {nil, "10.0.0.1:1", http.Header{buyerHeader: {"ada"}}, 401, "buyer_required"},
		"named":                      {named, "10.0.0.1:1", http.Header{buyerHeader: {"ada"}}, 202, ""},
		"another one named":          {named, "127.0.0.1:1", http.Header{buyerHeader: {"ada"}}, 401, "buyer_required"},
		"forwarded for":              {named, "192.0.2.1:1", http.Header{buyerHeader: {"ada"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "Forwarded": {"for=10.0.0.1"}}, 401, "buyer_required"},
		"no header":                  {named, "10.0.0.1:1", nil, 401, "buyer_required"},
		"empty header":               {named, "10.0.0.1:1", http.Header{buyerHeader: {""}}, 401, "buyer_required"},
		"two headers":                {named, "10.0.0.1:1", http.Header{buyerHeader: {"ada", "bob"}}, 400, "invalid_request"},
		"two headers, one empty":     {named, "10.0.0.1:1", http.Header{buyerHeader: {"", "bob"}}, 400, "invalid_request"},
		"bad header, not trusted":    {named, "192.0.2.1:1", http.Header{buyerHeader: {"a b"}}, 401, "buyer_required"},
		"a token that nobody reads":  {named, "192.0.2.1:1", http.Header{"Authorization": {"Bearer x"}}, 401, "buyer_required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, c.change, func(t *testing.T, w *world, i *Ingress) {
				before := w.entries(0)
				r := request("POST", "/v1/products/shirt/buy", "", nil)
				r.RemoteAddr = c.peer
				for header, values := range c.headers {
					r.Header[header] = values
				}
				a := i.serve(t, r)
				if c.problem == "" {
					a.is(c.code)
					return
				}
				a.refused(c.code, c.problem)
				if got := a.header.Get("WWW-Authenticate"); got != "" {
					t.Errorf("asks for %q, where no token is looked at", got)
				}
				if after := w.entries(0); after != before {
					t.Errorf("%d records were appended", after-before)
				}
			})
		})
	}
}

// TestHeaderAllocatesNothing is not parallel: allocations are counted.
func TestHeaderAllocatesNothing(t *testing.T) {
	r := request("POST", "/v1/products/shirt/buy", "", as("ada"))
	of := Identity{Proxies: Loopback()}
	allocations := testing.AllocsPerRun(100, func() {
		if buyer, err := of.Of(r); buyer != "ada" || err != nil {
			t.Fatal(buyer, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
