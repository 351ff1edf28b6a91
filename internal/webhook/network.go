package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

var (
	// ErrNotPublic means that a name resolved to an address which is not
	// public.
	ErrNotPublic = errors.New("not a public address")
	// ErrURL means that a URL is not one to send webhooks to.
	ErrURL = errors.New("not a URL to send webhooks to")
)

// reserved are the networks that are not public beyond those which netip.Addr
// knows: https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry. Those that carry an IPv4 address within are among
// them, since it may be any.
func reserved() []netip.Prefix {
	var networks []netip.Prefix
	for _, network := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fec0::/10",
	} {
		networks = append(networks, netip.MustParsePrefix(network))
	}
	return networks
}

// guard refuses connections to addresses that are not public. As the Control of
// a net.Dialer it sees the address that is dialled, after every resolution.
type guard struct {
	reserved []netip.Prefix
}

func (g guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrNotPublic, address)
	}
	if !g.public(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrNotPublic, at.Addr())
	}
	return nil
}

func (g guard) public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	for _, network := range g.reserved {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// checkURL refuses what can be known beforehand to be wrong.
func checkURL(address string, allowPrivate bool) (*url.URL, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be read", ErrURL) // err would have its password
	}
	host := parsed.Hostname()
	switch {
	case parsed.Scheme != "https" && parsed.Scheme != "http", parsed.Opaque != "", host == "":
		return nil, fmt.Errorf("%w: %s is not https://HOST/PATH", ErrURL, parsed.Redacted())
	case parsed.Fragment != "":
		return nil, fmt.Errorf("%w: %s has a fragment", ErrURL, parsed.Redacted())
	case allowPrivate:
		return parsed, nil
	case parsed.Scheme != "https":
		return nil, fmt.Errorf("%w: %s is not https", ErrURL, parsed.Redacted())
	case strings.EqualFold(host, "localhost"):
		return nil, fmt.Errorf("%w: %s is %w", ErrURL, parsed.Redacted(), ErrNotPublic)
	}
	if literal, err := netip.ParseAddr(host); err == nil && !(guard{reserved()}).public(literal) {
		return nil, fmt.Errorf("%w: %s is %w", ErrURL, parsed.Redacted(), ErrNotPublic)
	}
	return parsed, nil
}

func newDialer(allowPrivate bool) *net.Dialer {
	dialer := &net.Dialer{Timeout: attemptTimeout}
	if !allowPrivate {
		dialer.Control = guard{reserved()}.control
	}
	return dialer
}
