package ingress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Networks are those from which X-Buyer-ID is believed: the immediate peer of
// the connection has to be in one. What a peer says of where it has a call
// from, as X-Forwarded-For does, counts for nothing.
type Networks []netip.Prefix

// Loopback is this machine: a gateway beside the ingress.
func Loopback() Networks {
	return Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// ParseNetworks reads networks as 10.1.0.0/16, or single addresses. It does not
// take 10.1.2.3/16, of which nobody can tell how much was meant.
func ParseNetworks(texts []string) (Networks, error) {
	networks := make(Networks, 0, len(texts))
	for _, text := range texts {
		network, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("network %q: %w", text, err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, errors.New("a zone is not part of a network")
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("it is neither a network, as 10.1.0.0/16, nor an address")
	case network.Addr().Is4In6():
		return netip.Prefix{}, errors.New("a network of IPv4 is written as one, as 10.1.0.0/16")
	case network.Masked() != network:
		return netip.Prefix{}, fmt.Errorf("the address has more bits than the network: %s or %s/%d", network.Masked(), network.Addr(), network.Addr().BitLen())
	}
	return network, nil
}

// hold reports whether a peer, as http.Request.RemoteAddr names it, is in one
// of the networks. It allocates nothing: every buy asks.
func (n Networks) hold(peer string) bool {
	from, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := from.Addr().Unmap().WithZone("")
	for _, network := range n {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
