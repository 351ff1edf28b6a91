package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// clockLeeway is how far the issuer's clock may be from this one.
const clockLeeway = 10 * time.Second

// TokenConfig says whose tokens name a buyer.
type TokenConfig struct {
	Issuer   string // iss, exactly
	Audience string // one of aud
	JWKS     string // where the issuer's public keys are: a file, or an http or https URL

	Client *http.Client // for the URL; nil for one that follows no redirects
	Logger *slog.Logger // nil for none
}

// Tokens knows buyers by JSON Web Tokens (RFC 7519) in Authorization: Bearer.
// A token counts if it is signed by RS256, ES256 or EdDSA with the key that its
// kid names, and has the issuer, the audience, an end that lies ahead, and no
// beginning that does. Its sub is the buyer.
//
// Run keeps the keys fresh. Its methods may be called from any goroutine.
type Tokens struct {
	config TokenConfig
	log    *slog.Logger
	parser *jwt.Parser
	read   func(context.Context) ([]byte, error) // of the key set
	every  time.Duration                         // between two readings that succeed

	keys   atomic.Pointer[keyfunc.Keyfunc] // nil until they have been read
	failed atomic.Bool                     // the latest reading

	mu      sync.Mutex
	pending chan struct{} // closed when the reading under way, or the one asked for, is over; else nil
	asked   time.Time     // when a token last asked for one
	wanted  chan struct{} // has an element when Run is to read now
}

// The challenges of RFC 6750, section 3.
const (
	askForToken  = `Bearer realm="anteroom"`
	refusedToken = `Bearer realm="anteroom", error="invalid_token"`
)

// What is wrong with a token, beside what golang-jwt says.
var (
	errNoKeyID  = errors.New("the token names no key")
	errCritical = errors.New("the token has critical headers")
)

// buyer gives the sub of the call's token. Nothing of a token is in its errors.
func (t *Tokens) buyer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", &problem{refusal: buyerRequired, detail: "a token is needed, as Authorization: Bearer", challenge: askForToken}
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if text = strings.Trim(text, " "); len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || text == "" {
		return "", &problem{refusal: buyerRequired, detail: "one token is needed, as Authorization: Bearer", challenge: askForToken}
	}
	claims, err := t.verify(r.Context(), text)
	switch {
	case errors.Is(err, errKeysUnknown):
		return "", cannotTell("the keys that tokens are signed with cannot be read now")
	case err != nil:
		return "", &problem{refusal: buyerRequired, detail: faultOf(err), challenge: refusedToken}
	}
	buyer, _ := claims["sub"].(string)
	if !visible(buyer, maxBuyer) {
		return "", &problem{refusal: buyerRequired, detail: "the token's sub must be 1 to 128 visible ASCII characters", challenge: refusedToken}
	}
	return buyer, nil
}

// verify gives the claims of a token that counts. A key that is not known may
// be a new one: then the keys are read again, within bounds.
func (t *Tokens) verify(ctx context.Context, text string) (jwt.MapClaims, error) {
	claims, err := t.parse(text)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return claims, err
	}
	if err := t.readAgain(ctx); err != nil {
		return nil, err
	}
	claims, err = t.parse(text)
	if errors.Is(err, jwkset.ErrKeyNotFound) && t.failed.Load() {
		return nil, errKeysUnknown // it may be in what cannot be read
	}
	return claims, err
}

func (t *Tokens) parse(text string) (jwt.MapClaims, error) {
	known := t.keys.Load()
	if known == nil {
		return nil, errKeysUnknown
	}
	// A map, whose keys are compared exactly: encoding/json would take "SUB" for
	// a field of the name "sub".
	claims := jwt.MapClaims{}
	_, err := t.parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if _, critical := token.Header["crit"]; critical {
			return nil, errCritical // RFC 7515, section 4.1.11: what is not understood is refused
		}
		if id, ok := token.Header[jwkset.HeaderKID].(string); !ok || id == "" {
			return nil, errNoKeyID // keyfunc would try all keys
		}
		return (*known).Keyfunc(token)
	})
	return claims, err
}

func newTokenParser(config TokenConfig) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{
			jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg(),
		}),
		jwt.WithIssuer(config.Issuer), jwt.WithAudience(config.Audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(clockLeeway), jwt.WithStrictDecoding(),
	)
}

// faultOf says what is wrong with a token, in words that hold nothing of it.
func faultOf(err error) string {
	for _, fault := range []struct {
		err  error
		text string
	}{
		{jwt.ErrTokenMalformed, "the token cannot be read"},
		{errCritical, "the token has critical headers, and this server knows none"},
		{errNoKeyID, "the token names no key (kid)"},
		{jwkset.ErrKeyNotFound, "the token's key (kid) is not one of the issuer's"},
		{jwt.ErrTokenUnverifiable, "the token's key (kid) is not for its algorithm"},
		{jwt.ErrTokenSignatureInvalid, "the token is not signed as it should be: RS256, ES256 or EdDSA, with the key that it names"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "the token is another issuer's"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks exp, iss or aud"},
	} {
		if errors.Is(err, fault.err) {
			return fault.text
		}
	}
	return "the token is not valid"
}
