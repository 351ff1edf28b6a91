// Package client talks to anteroom's HTTP interface for shops: it buys and
// follows in the name of shoppers ([Client.Buy], [Client.Follow],
// [Client.Wait]), settles holds as a merchant ([Client.Confirm] and others),
// runs sales as an operator ([Client.CreateSale] and others), and verifies the
// tokens with which shoppers arrive at a checkout ([CheckoutVerifier]).
//
// What always holds:
//
//   - An answer other than success is a [Problem] with a stable code. Where the
//     service did not tell what became of a call the error is [ErrUnknown]: it
//     may have been done.
//   - Calls of shoppers and merchants are safe to repeat, and are repeated while
//     their outcome is unknown: with growing pauses and jitter, no sooner than
//     Retry-After says, until the context ends or [Config.Patience] is used up.
//     Calls of operators are made once.
//   - A token is sent to the service alone: redirects are not followed. Errors
//     contain no tickets and no tokens.
//   - Answers are bounded, and so is every wait.
//
// The package starts no goroutine that outlives a call, except for a fetch of
// keys, which takes ten seconds at most. A Client and a CheckoutVerifier may be
// used by any number of goroutines.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Bounds of a call.
const (
	maxAnswer       = 16 << 20         // bytes
	attemptWait     = 30 * time.Second // for one answer, a long poll's included
	defaultPatience = 2 * time.Minute
	idleConnections = 64
	userAgent       = "anteroom-client"
)

// Config says where the service is and who asks.
type Config struct {
	// URL is the service's base, as in https://tickets.example: http or https,
	// without user, query or fragment.
	URL string
	// OperatorToken goes along as bearer token with the calls of operators.
	OperatorToken string
	// MerchantToken goes along as bearer token with the calls of merchants.
	MerchantToken string
	// Patience is how long a call is repeated, or a broken stream taken up
	// again, while the service cannot tell: 0 is two minutes, and a negative one
	// repeats nothing. A context that ends earlier ends it earlier.
	Patience time.Duration
	// HTTP makes the requests; nil is a client of this package's own, with
	// timeouts. Of one that is given everything is used but its CheckRedirect; its
	// Timeout should leave room for polls, which wait for 20 s.
	HTTP *http.Client
}

// Client makes calls.
type Client struct {
	base     *url.URL
	operator string
	merchant string
	patience time.Duration
	http     *http.Client
}

// New makes a client. It makes no call.
func New(config Config) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil {
		base = &url.URL{} // the error tells all of it, a password too
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("client: %q is not the URL of a service, as in http://127.0.0.1:8080", base.Redacted())
	}
	if base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" {
		return nil, fmt.Errorf("client: the URL of the service at %s must have no user, query or fragment", base.Host)
	}
	patience := config.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	return &Client{
		base: base, operator: config.OperatorToken, merchant: config.MerchantToken,
		patience: patience, http: withoutRedirects(config.HTTP),
	}, nil
}

// withoutRedirects gives a client like the one given, or else the package's
// own, that follows no redirect: it would carry tickets and tokens elsewhere.
func withoutRedirects(given *http.Client) *http.Client {
	var caller http.Client
	if given != nil {
		caller = *given
	} else if shared, ok := http.DefaultTransport.(*http.Transport); ok {
		transport := shared.Clone()
		transport.MaxIdleConnsPerHost = idleConnections
		caller.Transport = transport
	}
	caller.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &caller
}
