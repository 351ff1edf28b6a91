package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// CheckoutParameter is the query parameter of a checkout_url that carries the
// token.
const CheckoutParameter = "anteroom_token"

// Errors of CheckoutVerifier.Verify. Any other one says that the keys could not
// be had, so that nothing is known of the token.
var (
	// ErrCheckoutToken is in every error about a token that is not to be
	// trusted.
	ErrCheckoutToken = errors.New("the checkout token is not valid")
	// ErrCheckoutExpired is in the error about a token that was good once: the
	// shopper's status has a new one, as long as the hold lasts.
	ErrCheckoutExpired = errors.New("the checkout token has expired")
)

// Claims are what a checkout token says: this request holds these units until
// then.
type Claims struct {
	Request   string    // its public id, for Client.Confirm
	Product   string    //
	Sale      string    // public id of the sale
	Quantity  int64     // units
	ExpiresAt time.Time // of the token; the hold may last longer
}

// CheckoutConfig says whose tokens are to be trusted. Exactly one of Keys and
// KeysURL is set.
type CheckoutConfig struct {
	// Keys is a JWK set (RFC 7517): what GET /.well-known/jwks.json answers.
	Keys []byte
	// KeysURL is where the set is to be had. It is fetched when the first token
	// comes, and again for a token with a key that is not in it, at most once a
	// minute; until there is a set, at most once a second.
	KeysURL string
	// HTTP makes the requests; nil is a client of this package's own.
	HTTP *http.Client
}

// CheckoutVerifier verifies, without asking anybody, the tokens that shoppers
// bring to a checkout page. A token shows that its bearer may pay for a hold;
// [Client.Confirm] decides whether that still stands.
type CheckoutVerifier struct {
	keys   *keySource
	parser *jwt.Parser
}

// The claims that every token has, and its algorithm.
const (
	checkoutIssuer    = "anteroom"
	checkoutAlgorithm = "EdDSA"
	maxToken          = 8 << 10 // characters
)

// NewCheckoutVerifier makes a verifier. It makes no call.
func NewCheckoutVerifier(config CheckoutConfig) (*CheckoutVerifier, error) {
	keys, err := newKeySource(config)
	if err != nil {
		return nil, err
	}
	return &CheckoutVerifier{
		keys: keys,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{checkoutAlgorithm}), jwt.WithIssuer(checkoutIssuer), jwt.WithExpirationRequired(),
		),
	}, nil
}

// checkoutClaims are the members of a token.
type checkoutClaims struct {
	jwt.RegisteredClaims
	Quantity int64  `json:"quantity"`
	Sale     string `json:"sale"`
}

// Verify gives what a token says, if it is one of this service for this product
// and has not expired. The context bounds a fetch of the keys.
func (v *CheckoutVerifier) Verify(ctx context.Context, product, token string) (Claims, error) {
	if product == "" {
		return Claims{}, errors.New("client: a token is for a product")
	}
	if len(token) > maxToken {
		return Claims{}, ErrCheckoutToken
	}
	var said checkoutClaims
	var unavailable error
	_, err := v.parser.ParseWithClaims(token, &said, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		var key ed25519.PublicKey
		if key, unavailable = v.keys.key(ctx, id); unavailable != nil {
			return nil, unavailable
		}
		if key == nil {
			return nil, errUnknownKey
		}
		return key, nil
	})
	switch {
	case unavailable != nil:
		return Claims{}, fmt.Errorf("verifying a checkout token: %w", unavailable)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Claims{}, fmt.Errorf("%w: %w", ErrCheckoutToken, ErrCheckoutExpired)
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrCheckoutToken, err)
	case len(said.Audience) != 1 || said.Audience[0] != product:
		return Claims{}, fmt.Errorf("%w: it is for another product", ErrCheckoutToken)
	case said.Subject == "" || said.Quantity < 1:
		return Claims{}, fmt.Errorf("%w: it names no hold", ErrCheckoutToken)
	}
	return Claims{
		Request: said.Subject, Product: product, Sale: said.Sale, Quantity: said.Quantity, ExpiresAt: said.ExpiresAt.Time,
	}, nil
}

// VerifyRequest verifies the token in the URL of a request to a checkout page.
func (v *CheckoutVerifier) VerifyRequest(product string, r *http.Request) (Claims, error) {
	return v.Verify(r.Context(), product, r.URL.Query().Get(CheckoutParameter))
}

var errUnknownKey = errors.New("no key of the service has signed it")
