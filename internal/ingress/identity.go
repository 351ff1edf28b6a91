package ingress

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Identify says who a shopper is. Its errors are answered as they are where
// they are problems of this package.
type Identify func(*http.Request) (buyer string, err error)

const (
	buyerHeader = "X-Buyer-Id" // canonical form of X-Buyer-ID
	maxBuyer    = 128
)

// Identity says from what a shopper is known.
//
// X-Buyer-ID of a peer in Proxies is believed as it is: such a gateway has found
// out who the shopper is, and lets no shopper set the header. From any other
// peer the header counts for nothing. Where a call has no header that is
// believed, its token says who the buyer is, if Tokens is set.
type Identity struct {
	Proxies Networks
	Tokens  *Tokens // nil: tokens are not looked at
}

// Of is an [Identify]. A buyer is 1 to 128 visible ASCII characters.
func (y Identity) Of(r *http.Request) (string, error) {
	values := r.Header[buyerHeader]
	said := len(values) > 1 || (len(values) == 1 && values[0] != "")
	switch {
	case said && y.Proxies.hold(r.RemoteAddr):
		if len(values) > 1 || !visible(values[0], maxBuyer) {
			return "", refuse(invalidRequest, "X-Buyer-ID must be one value of 1 to 128 visible ASCII characters")
		}
		return values[0], nil
	case y.Tokens != nil:
		return y.Tokens.buyer(r)
	case said:
		return "", refuse(buyerRequired, "X-Buyer-ID is taken from trusted proxies only, and this connection comes from none")
	}
	return "", refuse(buyerRequired, "X-Buyer-ID is missing")
}

// visible reports whether s is 1 to limit visible ASCII characters.
func visible(s string, limit int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// bearer guards the calls of one party by a token that is known beforehand.
type bearer struct {
	digest [sha256.Size]byte
	set    bool
}

func newBearer(token string) bearer {
	return bearer{digest: sha256.Sum256([]byte(token)), set: token != ""}
}

// check refuses a call without the token. Where no token is set the call is
// off, never open.
func (b *bearer) check(r *http.Request) error {
	if !b.set {
		return refuse(notEnabled, "")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Digests have one length, so not even the token's length can be timed.
	digest := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(digest[:], b.digest[:]) == 1
	if !strings.EqualFold(scheme, "Bearer") || !same {
		return refuse(unauthorized, "")
	}
	return nil
}
