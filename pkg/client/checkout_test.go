package client

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keyOf gives a key that is the same for the same number.
func keyOf(number byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+number)), ed25519.SeedSize)))
}

// setOf publishes the keys k0, k1, ...
func setOf(numbers ...byte) string {
	var keys []string
	for _, n := range numbers {
		x := base64.RawURLEncoding.EncodeToString(keyOf(n).Public().(ed25519.PublicKey))
		keys = append(keys, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"k%d","use":"sig","alg":"EdDSA","x":%q}`, n, x))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// goodClaims are those of a token for a hold of two consoles.
func goodClaims() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": "anteroom", "aud": "console", "sub": "0-2", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"jti": "x", "quantity": 2, "sale": "0-1",
	}
}

func signed(t *testing.T, number byte, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"] = fmt.Sprintf("k%d", number)
	text, err := token.SignedString(keyOf(number))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerify(t *testing.T) {
	t.Parallel()
	v, err := NewCheckoutVerifier(CheckoutConfig{Keys: []byte(setOf(0, 1))})
	if err != nil {
		t.Fatal(err)
	}
	claims := goodClaims()
	for _, key := range []byte{0, 1} {
		got, err := v.Verify(t.Context(), "console", signed(t, key, claims))
		want := Claims{Request: "0-2", Product: "console", Sale: "0-1", Quantity: 2, ExpiresAt: time.Unix(claims["exp"].(int64), 0)}
		if err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	arrival, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://shop.test/pay?anteroom_token="+signed(t, 0, claims), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.VerifyRequest("console", arrival); err != nil || got.Request != "0-2" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestVerifyRefuses what is not this service's word about this product now.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	v, err := NewCheckoutVerifier(CheckoutConfig{Keys: []byte(setOf(0))})
	if err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) string {
		claims := goodClaims()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return signed(t, 0, claims)
	}
	as := func(method jwt.SigningMethod, id any, key any) string {
		token := jwt.NewWithClaims(method, goodClaims())
		if id != nil {
			token.Header["kid"] = id
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := signed(t, 0, goodClaims())
	other := signed(t, 0, jwt.MapClaims{"iss": "anteroom", "aud": "other"})
	parts, otherParts := strings.Split(good, "."), strings.Split(other, ".")
	for name, token := range map[string]string{
		"empty": "", "not a token": "x.y.z", "too long": strings.Repeat("a", maxToken+1),
		"another issuer": with("iss", "shop"), "no issuer": with("iss", nil),
		"another product": with("aud", "other"), "two products": with("aud", []string{"console", "other"}), "no product": with("aud", nil),
		"no end": with("exp", nil), "no request": with("sub", nil), "no units": with("quantity", 0), "half a unit": with("quantity", 0.5),
		"not yet":             with("nbf", time.Now().Add(time.Hour).Unix()),
		"unknown key":         signed(t, 1, goodClaims()),
		"another key's id":    as(jwt.SigningMethodEdDSA, "k0", keyOf(1)),
		"no id":               as(jwt.SigningMethodEdDSA, nil, keyOf(0)),
		"odd id":              as(jwt.SigningMethodEdDSA, 0, keyOf(0)),
		"no algorithm":        as(jwt.SigningMethodNone, "k0", jwt.UnsafeAllowNoneSignatureType),
		"public key as a MAC": as(jwt.SigningMethodHS256, "k0", []byte(keyOf(0).Public().(ed25519.PublicKey))),
		"no signature":        parts[0] + "." + parts[1] + ".",
		"another's claims":    parts[0] + "." + otherParts[1] + "." + parts[2],
	} {
		if got, err := v.Verify(t.Context(), "console", token); !errors.Is(err, ErrCheckoutToken) || errors.Is(err, ErrCheckoutExpired) || got != (Claims{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := v.Verify(t.Context(), "console", with("exp", time.Now().Add(-time.Second).Unix())); !errors.Is(err, ErrCheckoutExpired) || !errors.Is(err, ErrCheckoutToken) {
		t.Errorf("expired: %v", err)
	}
	if _, err := v.Verify(t.Context(), "", good); err == nil {
		t.Error("a token was good for no product")
	}
}

const keysPath = "GET /.well-known/jwks.json"

func (f *fake) verifier() *CheckoutVerifier {
	f.t.Helper()
	v, err := NewCheckoutVerifier(CheckoutConfig{KeysURL: "http://service.test/base/.well-known/jwks.json", HTTP: f.http()})
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// TestKeysAreFetched once, and again for a key that is new: once a minute at
// most, whatever ids are made up.
func TestKeysAreFetched(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(keysPath, answering(200, setOf(0)))
		v := f.verifier()
		results := make(chan error)
		for range 10 {
			go func() {
				_, err := v.Verify(t.Context(), "console", signed(t, 0, goodClaims()))
				results <- err
			}()
		}
		for range 10 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		verify := func(key byte) error {
			_, err := v.Verify(t.Context(), "console", signed(t, key, goodClaims()))
			return err
		}
		for range 100 {
			if err := verify(1); !errors.Is(err, ErrCheckoutToken) {
				t.Error(err)
			}
		}
		if came := len(f.requests(keysPath)); came != 1 {
			t.Errorf("%d fetches", came)
		}
		f.on(keysPath, answering(200, setOf(1)))
		_ = wait(t.Context(), time.Minute)
		if err := verify(1); err != nil {
			t.Error(err)
		}
		if err := verify(0); !errors.Is(err, ErrCheckoutToken) {
			t.Errorf("a key that was taken back: %v", err)
		}
		if came := len(f.requests(keysPath)); came != 2 {
			t.Errorf("%d fetches", came)
		}
	})
}

// TestKeysThatCannotBeFetched say nothing of a token, and are asked for again.
func TestKeysThatCannotBeFetched(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		v := f.verifier()
		verify := func(key byte) error {
			_, err := v.Verify(t.Context(), "console", signed(t, key, goodClaims()))
			return err
		}
		for _, odd := range []http.HandlerFunc{
			problem(503, "unavailable"), answering(302, "", "Location", "/elsewhere"), cut(200, setOf(0)), answering(200, `{"keys":[]}`),
			answering(200, `<html>`), answering(200, strings.Repeat(" ", maxKeySet)+setOf(0)), dropped,
		} {
			f.on(keysPath, odd)
			for range 5 {
				if err := verify(0); err == nil || errors.Is(err, ErrCheckoutToken) {
					t.Errorf("it ended with %v", err)
				}
			}
			_ = wait(t.Context(), firstEvery)
		}
		if came := len(f.requests(keysPath)); came > 8 { // a dropped GET is sent again by net/http
			t.Errorf("%d fetches for 7 answers", came)
		}
		f.on(keysPath, answering(200, setOf(0)))
		if err := verify(0); err != nil {
			t.Error(err)
		}
		// Keys that are known stay good while others cannot be fetched.
		f.on(keysPath, problem(503, "unavailable"))
		_ = wait(t.Context(), time.Minute)
		if err := verify(1); err == nil || errors.Is(err, ErrCheckoutToken) {
			t.Errorf("an unknown key: %v", err)
		}
		if err := verify(0); err != nil {
			t.Error(err)
		}
	})
}

// TestOneWhoLeavesFailsNoFetch for those who stay.
func TestOneWhoLeavesFailsNoFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.on(keysPath, func(w http.ResponseWriter, r *http.Request) {
			_ = wait(r.Context(), 5*time.Second)
			answering(200, setOf(0))(w, r)
		})
		v, token := f.verifier(), signed(t, 0, goodClaims())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, "console", token); err == nil || errors.Is(err, ErrCheckoutToken) {
			t.Errorf("it ended with %v", err)
		}
		if _, err := v.Verify(t.Context(), "console", token); err != nil || len(f.requests(keysPath)) != 1 {
			t.Errorf("%v after %d fetches", err, len(f.requests(keysPath)))
		}
	})
}

func TestNewCheckoutVerifier(t *testing.T) {
	t.Parallel()
	for _, config := range []CheckoutConfig{
		{}, {Keys: []byte(setOf(0)), KeysURL: "http://service.test"}, {Keys: []byte(`{}`)}, {Keys: []byte(`x`)},
		{Keys: []byte(`{"keys":[{"kty":"oct","kid":"k0","k":"c2VjcmV0"}]}`)}, {KeysURL: "jwks.json"}, {KeysURL: "ftp://service.test"},
		{KeysURL: "http://user:secret@service.test"},
	} {
		if _, err := NewCheckoutVerifier(config); err == nil {
			t.Errorf("%+v was taken", config)
		}
	}
}
