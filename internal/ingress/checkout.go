package ingress

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// What a checkout's token is.
const (
	checkoutIssuer    = "anteroom"
	checkoutParameter = "anteroom_token" // of the query
	checkoutLife      = 10 * time.Minute // at most
	checkoutStep      = 5 * time.Minute  // after which a long hold's token is followed by the next
	maxURLsKept       = 1 << 14          // some 10 MB
)

// Checkout hands the holders of units over to shops: it makes the URLs that they
// are sent to, with a token (a JWT, EdDSA) that a shop verifies by the published
// keys, asking nobody. Its methods may be called from any goroutine.
type Checkout struct {
	signer    *signer // the newest key; nil without keys
	published []byte  // the key set, as JSON
	keyless   sync.Once

	// Signing costs several times what a poll does, and most polls of a hold are
	// answered with the URL of the last one.
	mu   sync.Mutex
	kept map[keptURL]string // forgotten altogether when it is full
}

type keptURL struct {
	of      handoff
	expires int64
}

type signer struct {
	id  string
	key ed25519.PrivateKey
}

// NewCheckout takes the keys, newest first: the first one signs, all are
// published. A secret is the seed of an Ed25519 key, 32 bytes. Without keys URLs
// have no token.
func NewCheckout(keys ticket.Keys) (*Checkout, error) {
	type jwk struct { // RFC 8037
		Type      string `json:"kty"`
		Curve     string `json:"crv"`
		ID        string `json:"kid"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
		X         string `json:"x"`
	}
	c := &Checkout{kept: map[keptURL]string{}}
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, key := range keys {
		private, err := key.Ed25519()
		if err != nil {
			return nil, fmt.Errorf("checkout keys: %w", err)
		}
		if c.signer == nil {
			c.signer = &signer{key.ID(), private}
		}
		set.Keys = append(set.Keys, jwk{
			Type: "OKP", Curve: "Ed25519", ID: key.ID(), Use: "sig", Algorithm: jwt.SigningMethodEdDSA.Alg(),
			X: base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey)), // what the key's type says
		})
	}
	var err error
	if c.published, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("encoding the checkout keys: %w", err)
	}
	return c, nil
}

// handoff is what a shop is told of a hold.
type handoff struct {
	url      string // the sale's checkout_url
	product  sale.Product
	request  string // public id
	sale     string // likewise
	quantity int64
	ends     sale.Time // of the hold
}

// url gives the URL with its token, or nothing where the hold is over. What it
// gives is the same text at every ingress, whenever it is asked, until the
// token's successor is due: a status does not change because it is looked at.
func (c *Checkout) url(h handoff, now time.Time) (string, error) {
	ends := int64(h.ends) / 1000
	issued, expires, ok := lifeOf(ends, now.Unix())
	if !ok {
		return "", nil
	}
	if c.signer == nil {
		return h.url, nil
	}
	c.mu.Lock()
	text, known := c.kept[keptURL{h, expires}]
	c.mu.Unlock()
	if known {
		return text, nil
	}
	token, err := c.token(h, issued, expires)
	if err != nil {
		return "", err
	}
	text = withParameter(h.url, checkoutParameter, token)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= maxURLsKept {
		clear(c.kept)
	}
	c.kept[keptURL{h, expires}] = text
	return text, nil
}

func (c *Checkout) token(h handoff, issued, expires int64) (string, error) {
	// A map is written in the order of its keys, and Ed25519 has no randomness.
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": checkoutIssuer, "aud": string(h.product), "sub": h.request, "sale": h.sale, "quantity": h.quantity,
		"iat": issued, "exp": expires, "jti": fmt.Sprintf("%s-%d", h.request, expires),
	})
	token.Header["kid"] = c.signer.id
	text, err := token.SignedString(c.signer.key)
	if err != nil {
		return "", fmt.Errorf("signing a checkout token: %w", err)
	}
	return text, nil
}

// lifeOf gives the seconds in which the token of a hold that ends then is valid.
// Counted back from the hold's end, a token is followed by the next every
// checkoutStep, and the last one is valid up to the end. So a token that is given
// is valid for checkoutStep more, or as long as the hold is, and the steps of
// different holds do not fall together.
func lifeOf(ends, now int64) (issued, expires int64, ok bool) {
	const step, life = int64(checkoutStep / time.Second), int64(checkoutLife / time.Second)
	left := ends - now
	if left <= 0 {
		return 0, 0, false
	}
	ahead := int64(0) // how much of the hold is left when the token ends
	if left > life {
		ahead = (left - life + step - 1) / step * step
	}
	return ends - ahead - life, ends - ahead, true
}

// withParameter adds a parameter, of which neither part needs escaping, to a URL
// that has no fragment, and leaves all else as its operator wrote it.
func withParameter(to, name, value string) string {
	separator := "?"
	switch {
	case strings.HasSuffix(to, "?") || strings.HasSuffix(to, "&"):
		separator = ""
	case strings.Contains(to, "?"):
		separator = "&"
	}
	return to + separator + name + "=" + value
}

// validCheckoutURL reports, as an answer, why a text cannot be a sale's
// checkout_url. None at all is not its business.
func validCheckoutURL(text string) error {
	if !visible(text, sale.MaxURL) {
		return refusef(invalidRequest, "checkout_url must be 1 to %d visible ASCII characters", sale.MaxURL)
	}
	to, err := url.Parse(text)
	switch {
	case err != nil || (to.Scheme != "http" && to.Scheme != "https") || to.Hostname() == "":
		return refuse(invalidRequest, "checkout_url must be an http or https URL with a host")
	case to.User != nil:
		return refuse(invalidRequest, "checkout_url must have no user and no password")
	case strings.Contains(text, "#"):
		return refuse(invalidRequest, "checkout_url must have no fragment")
	case strings.ContainsAny(text, "\\\"<>^`{|}"):
		// Browsers take a backslash for a slash, so the host could be another one.
		return refuse(invalidRequest, "checkout_url has a character that no URL has")
	case to.Query().Has(checkoutParameter):
		return refuse(invalidRequest, "checkout_url must not have the parameter "+checkoutParameter)
	}
	return nil
}

// checkoutURL gives the URL at which the holder of a running hold pays, or
// nothing. The log is not only written to by this door, so its URLs are checked.
func (i *Ingress) checkoutURL(view *board.View, now time.Time) (string, error) {
	if view.CheckoutURL == "" || validCheckoutURL(view.CheckoutURL) != nil { // only the view of a running hold has one
		return "", nil
	}
	if i.checkout.signer == nil {
		i.checkout.keyless.Do(func() {
			i.log.Warn("sales have a checkout_url, but no checkout keys are set: shoppers are sent there without a token")
		})
	}
	return i.checkout.url(handoff{
		url: view.CheckoutURL, product: view.Product, quantity: view.Quantity, ends: view.ExpiresAt,
		request: ticket.PublicID(view.Partition, int64(view.Offset)), sale: ticket.PublicID(view.Partition, int64(view.Sale)),
	}, now)
}

// showKeys is GET /.well-known/jwks.json: the public keys that verify checkout
// tokens.
func (i *Ingress) showKeys(c echo.Context) error {
	response := c.Response()
	_ = http.NewResponseController(response.Writer).SetWriteDeadline(time.Now().Add(writeWait)) // none where there is no connection
	header := response.Header()
	header["Cache-Control"] = cacheKeys
	header["Content-Type"] = keySetType
	response.WriteHeader(http.StatusOK)
	_, _ = response.Write(i.checkout.published) // where it fails nobody hears of it
	return nil
}

var (
	cacheKeys  = []string{"public, max-age=300"} // unlike all else that is answered
	keySetType = []string{"application/jwk-set+json"}
)
