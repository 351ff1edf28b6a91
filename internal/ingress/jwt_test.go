package ingress

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	testIssuer   = "https://login.example"
	testAudience = "tickets"
)

// issuerKeys are made once: an RSA key takes its time.
var issuerKeys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return key
	}
	ed := func() crypto.Signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	}
	keys := map[string]crypto.Signer{"ed": ed(), "ed2": ed(), "stranger": ed(), "encrypts": ed()}
	for id, bits := range map[string]int{"rsa": 2048, "short": 1024} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		keys[id] = must(key, err)
	}
	for id, curve := range map[string]elliptic.Curve{"ec": elliptic.P256(), "ec384": elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		keys[id] = must(key, err)
	}
	return keys
})

// keySet writes the public keys of these ids as an issuer publishes them.
func keySet(t testing.TB, ids ...string) []byte {
	t.Helper()
	set := jwkset.JWKSMarshal{}
	for _, id := range ids {
		about := jwkset.JWKMetadataOptions{KID: id, USE: jwkset.UseSig}
		if id == "encrypts" {
			about.USE = jwkset.UseEnc
		}
		key, err := jwkset.NewJWKFromKey(issuerKeys()[id].Public(), jwkset.JWKOptions{Metadata: about})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, key.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claimsOf(changes jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": testIssuer, "aud": testAudience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// methodOf gives the method that fits an issuer's key.
func methodOf(id string) jwt.SigningMethod {
	switch issuerKeys()[id].(type) {
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		return jwt.SigningMethodES256
	}
	return jwt.SigningMethodEdDSA
}

// signed makes a token as the issuer does, with the claims changed.
func signed(t testing.TB, id string, changes jwt.MapClaims) string {
	t.Helper()
	return signedAs(t, methodOf(id), id, issuerKeys()[id], changes)
}

func signedAs(t testing.TB, method jwt.SigningMethod, id string, key any, changes jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claimsOf(changes))
	if id != "" {
		token.Header["kid"] = id
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withToken(token string) *http.Request {
	return request("POST", "/v1/products/shirt/buy", "", header{"Authorization": "Bearer " + token})
}

// tokensOf gives Tokens of a file with these keys; the file may be written anew.
func tokensOf(t testing.TB, ids ...string) (tokens *Tokens, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, keySet(t, ids...), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := NewTokens(TokenConfig{Issuer: testIssuer, Audience: testAudience, JWKS: file})
	if err != nil {
		t.Fatal(err)
	}
	return tokens, file
}

func TestTokensThatCount(t *testing.T) {
	t.Parallel()
	tokens, _ := tokensOf(t, "rsa", "ec", "ed")
	now := time.Now()
	for name, token := range map[string]string{
		"RS256":                   signed(t, "rsa", nil),
		"ES256":                   signed(t, "ec", nil),
		"EdDSA":                   signed(t, "ed", nil),
		"one of the audiences":    signed(t, "ed", jwt.MapClaims{"aud": []string{"other", testAudience}}),
		"over, within the leeway": signed(t, "ed", jwt.MapClaims{"exp": now.Add(-clockLeeway / 2).Unix()}),
		"soon, within the leeway": signed(t, "ed", jwt.MapClaims{"nbf": now.Add(clockLeeway / 2).Unix()}),
		"valid since":             signed(t, "ed", jwt.MapClaims{"nbf": now.Add(-time.Hour).Unix()}),
		"another spelling of sub": signed(t, "ed", jwt.MapClaims{"SUB": "bob", "Sub": "bob"}),
		"other claims":            signed(t, "ed", jwt.MapClaims{"email": "ada@shop.example", "roles": []any{1, nil}}),
	} {
		if buyer, err := tokens.buyer(withToken(token)); buyer != "ada" || err != nil {
			t.Errorf("%s: %q, %v", name, buyer, err)
		}
	}
	r := withToken("")
	r.Header.Set("Authorization", "bEARER  "+signed(t, "ed", jwt.MapClaims{"sub": strings.Repeat("~", maxBuyer)}))
	if buyer, err := tokens.buyer(r); buyer != strings.Repeat("~", maxBuyer) || err != nil {
		t.Errorf("another case: %q, %v", buyer, err)
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	t.Parallel()
	keys := issuerKeys()
	good := signed(t, "ed", nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	_, other, _ := strings.Cut(signed(t, "ed", jwt.MapClaims{"sub": "bob"}), ".")
	otherPayload, _, _ := strings.Cut(other, ".")
	public, err := x509.MarshalPKIXPublicKey(keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	critical := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claimsOf(nil))
	critical.Header["kid"], critical.Header["crit"], critical.Header["b64"] = "ed", []string{"b64"}, true
	withCritical, err := critical.SignedString(keys["ed"])
	if err != nil {
		t.Fatal(err)
	}
	numbered := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claimsOf(nil))
	numbered.Header["kid"] = 7
	withNumber, err := numbered.SignedString(keys["ed"])
	if err != nil {
		t.Fatal(err)
	}
	past, future := time.Now().Add(-2*clockLeeway).Unix(), time.Now().Add(2*clockLeeway).Unix()

	var output bytes.Buffer
	inBubbleOf := func(t *testing.T, test func(i *Ingress)) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "jwks.json")
		set := keySet(t, "rsa", "short", "ec", "ec384", "ed", "encrypts")
		// An issuer has no business to publish such a key; its tokens are no good.
		set = bytes.Replace(set, []byte(`{"keys":[`), []byte(`{"keys":[{"kty":"oct","kid":"secret","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI"},{"kty":"RSA","kid":"ec","n":7},{"kty":"OKP","crv":"Ed448","kid":"448","x":"AA"},`), 1)
		if err := os.WriteFile(file, set, 0o600); err != nil {
			t.Fatal(err)
		}
		tokens, err := NewTokens(TokenConfig{Issuer: testIssuer, Audience: testAudience, JWKS: file})
		if err != nil {
			t.Fatal(err)
		}
		tokens.asked = time.Now() // nobody runs it, so nobody waits for a reading
		w := newWorld()
		w.openSale("shirt", nil)
		i := w.ingressOf(t, func(c *Config) {
			c.Identify, c.Logger = Identity{Tokens: tokens}.Of, logTo(&output)
		})
		before := w.entries(0)
		test(i)
		if after := w.entries(0); after != before {
			t.Errorf("%d records were appended", after-before)
		}
	}
	inBubbleOf(t, func(i *Ingress) {
		for name, c := range map[string]struct{ token, detail string }{
			"none":                   {signedAs(t, jwt.SigningMethodNone, "ed", jwt.UnsafeAllowNoneSignatureType, nil), "not signed as"},
			"HS256 by a public key":  {signedAs(t, jwt.SigningMethodHS256, "rsa", public, nil), "not signed as"},
			"HS256 by a public key2": {signedAs(t, jwt.SigningMethodHS256, "ed", []byte(keys["ed"].Public().(ed25519.PublicKey)), nil), "not signed as"},
			"HS256 by a listed key":  {signedAs(t, jwt.SigningMethodHS256, "secret", []byte("secretsecretsecretsecretsecret12"), nil), "not signed as"},
			"RS512":                  {signedAs(t, jwt.SigningMethodRS512, "rsa", keys["rsa"], nil), "not signed as"},
			"PS256":                  {signedAs(t, jwt.SigningMethodPS256, "rsa", keys["rsa"], nil), "not signed as"},
			"ES384":                  {signedAs(t, jwt.SigningMethodES384, "ec384", keys["ec384"], nil), "not signed as"},
			"a short RSA key":        {signedAs(t, jwt.SigningMethodRS256, "short", keys["short"], nil), "not one of the issuer's"},
			"a key that encrypts":    {signedAs(t, jwt.SigningMethodEdDSA, "encrypts", keys["encrypts"], nil), "not one of the issuer's"},
			"another key":            {signedAs(t, jwt.SigningMethodEdDSA, "ed", keys["stranger"], nil), "not signed as"},
			"an unknown key":         {signedAs(t, jwt.SigningMethodEdDSA, "stranger", keys["stranger"], nil), "not one of the issuer's"},
			"another kind of key":    {signedAs(t, jwt.SigningMethodEdDSA, "rsa", keys["ed"], nil), "not signed as"},
			"no key":                 {signedAs(t, jwt.SigningMethodEdDSA, "", keys["ed"], nil), "names no key"},
			"a key by number":        {withNumber, "names no key"},
			"critical header":        {withCritical, "critical"},
			"another payload":        {header + "." + otherPayload + "." + signature, "not signed as"},
			"no signature":           {header + "." + payload + ".", "not signed as"},
			"two parts":              {header + "." + payload, "cannot be read"},
			"four parts":             {good + ".x", "cannot be read"},
			"garbage":                {"garbage", "cannot be read"},
			"padding":                {good + "=", "cannot be read"},
			"expired":                {signed(t, "ed", jwt.MapClaims{"exp": past}), "expired"},
			"no end":                 {signed(t, "ed", jwt.MapClaims{"exp": nil}), "lacks"},
			"end 0":                  {signed(t, "ed", jwt.MapClaims{"exp": 0}), "lacks"},
			"end in words":           {signed(t, "ed", jwt.MapClaims{"exp": "never"}), "not valid"},
			"not yet":                {signed(t, "ed", jwt.MapClaims{"nbf": future}), "not valid yet"},
			"another issuer":         {signed(t, "ed", jwt.MapClaims{"iss": testIssuer + "/"}), "issuer"},
			"no issuer":              {signed(t, "ed", jwt.MapClaims{"iss": nil}), "lacks"},
			"issuer in capitals":     {signed(t, "ed", jwt.MapClaims{"iss": nil, "ISS": testIssuer}), "lacks"},
			"another audience":       {signed(t, "ed", jwt.MapClaims{"aud": []string{"other"}}), "audience"},
			"no audience":            {signed(t, "ed", jwt.MapClaims{"aud": nil}), "lacks"},
			"no sub":                 {signed(t, "ed", jwt.MapClaims{"sub": nil}), "sub"},
			"another spelling":       {signed(t, "ed", jwt.MapClaims{"sub": nil, "SUB": "ada"}), "sub"},
			"empty sub":              {signed(t, "ed", jwt.MapClaims{"sub": ""}), "sub"},
			"sub by number":          {signed(t, "ed", jwt.MapClaims{"sub": 7}), "sub"},
			"long sub":               {signed(t, "ed", jwt.MapClaims{"sub": strings.Repeat("b", maxBuyer+1)}), "sub"},
			"sub of two words":       {signed(t, "ed", jwt.MapClaims{"sub": "ada bob"}), "sub"},
			"sub not in ASCII":       {signed(t, "ed", jwt.MapClaims{"sub": "ad\u00e4"}), "sub"},
			"sub with a line's end":  {signed(t, "ed", jwt.MapClaims{"sub": "ada\n"}), "sub"},
		} {
			a := i.serve(t, withToken(c.token))
			if a.code != http.StatusUnauthorized {
				t.Errorf("%s: answered %d %s", name, a.code, a.body)
				continue
			}
			a.refused(http.StatusUnauthorized, "buyer_required")
			if got := a.header.Get("WWW-Authenticate"); got != refusedToken {
				t.Errorf("%s: asks for %q", name, got)
			}
			var d document
			if err := json.Unmarshal(a.body, &d); err != nil || !strings.Contains(d.Detail, c.detail) {
				t.Errorf("%s: %q, expected something about %q (%v)", name, d.Detail, c.detail, err)
			}
			for _, part := range strings.Split(c.token, ".") {
				if len(part) > 4 && (strings.Contains(output.String(), part) || bytes.Contains(a.body, []byte(part))) {
					t.Errorf("%s: a part of the token is in the log or in the answer", name)
				}
			}
		}
		for name, values := range map[string][]string{
			"no token": nil, "an empty one": {"Bearer "}, "no scheme": {good}, "another scheme": {"Basic " + good}, "two": {"Bearer " + good, "Bearer " + good},
		} {
			r := withToken("")
			r.Header["Authorization"] = values
			a := i.serve(t, r)
			a.refused(http.StatusUnauthorized, "buyer_required")
			if got := a.header.Get("WWW-Authenticate"); got != askForToken {
				t.Errorf("%s: asks for %q", name, got)
			}
		}
	})
	for _, secret := range []string{"stranger", "bob", "ada"} {
		if strings.Contains(output.String(), secret) {
			t.Errorf("the log has %q: %s", secret, output.String())
		}
	}
}

// TestTokenOrHeader has shoppers known by both.
func TestTokenOrHeader(t *testing.T) {
	t.Parallel()
	tokens, _ := tokensOf(t, "ed")
	token := "Bearer " + signed(t, "ed", nil)
	only, both := Identity{Tokens: tokens}, Identity{Tokens: tokens, Proxies: Loopback()}
	for name, c := range map[string]struct {
		by    Identity
		peer  string
		said  string
		token string
		buyer string // "" where it is refused
	}{
		"the token alone":                {only, "127.0.0.1:1", "", token, "ada"},
		"the header where it is not":     {only, "127.0.0.1:1", "bob", "", ""},
		"both where the header is not":   {only, "127.0.0.1:1", "bob", token, "ada"},
		"the header of a proxy":          {both, "127.0.0.1:1", "bob", "", "bob"},
		"the header of a proxy, both":    {both, "127.0.0.1:1", "bob", token, "bob"},
		"a proxy that knows no buyer":    {both, "127.0.0.1:1", "", token, "ada"},
		"a proxy, a bad token":           {both, "127.0.0.1:1", "", token + "x", ""},
		"the header of another":          {both, "192.0.2.1:1", "bob", "", ""},
		"the header of another, a token": {both, "192.0.2.1:1", "bob", token, "ada"},
	} {
		r := request("POST", "/v1/products/shirt/buy", "", header{"X-Buyer-ID": c.said})
		r.RemoteAddr = c.peer
		if c.token != "" {
			r.Header.Set("Authorization", c.token)
		}
		buyer, err := c.by.Of(r)
		var p *problem
		if buyer != c.buyer || (err == nil) != (c.buyer != "") || (err != nil && (!errors.As(err, &p) || p.challenge == "")) {
			t.Errorf("%s: %q, %v, expected %q", name, buyer, err, c.buyer)
		}
	}
}

// TestBuyByToken buys under two tokens of one buyer.
func TestBuyByToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens, _ := tokensOf(t, "rsa", "ed")
		w := newWorld()
		w.openSale("shirt", nil)
		i := w.ingressOf(t, func(c *Config) { c.Identify = Identity{Tokens: tokens}.Of })
		first := i.serve(t, withToken(signed(t, "rsa", nil))).status(http.StatusAccepted)
		synctest.Wait()
		again := i.serve(t, withToken(signed(t, "ed", nil))).status(http.StatusOK)
		if first.ID != again.ID {
			t.Errorf("%s and %s", first.ID, again.ID)
		}
	})
}

func BenchmarkIdentity(b *testing.B) {
	tokens, _ := tokensOf(b, "rsa", "ec", "ed")
	by := Identity{Proxies: Loopback(), Tokens: tokens}
	for name, r := range map[string]*http.Request{
		"header": request("POST", "/", "", as("ada")),
		"RS256":  withToken(signed(b, "rsa", nil)),
		"ES256":  withToken(signed(b, "ec", nil)),
		"EdDSA":  withToken(signed(b, "ed", nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := by.Of(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
