package main

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// TestIdentitySettings reads settings, and tries who is believed.
func TestIdentitySettings(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "jwks.json")
	text := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	token := identitySettings{JWKS: keys, JWTIssuer: "i", JWTAudience: "a"}
	both := token
	both.TrustedProxies = []string{"10.0.0.0/8"}
	for name, c := range map[string]struct {
		settings identitySettings
		believed []string // peers
		not      []string
	}{
		"default": {identitySettings{}, []string{"127.0.0.1:1", "[::1]:1"}, []string{"10.0.0.1:1"}},
		"named":   {identitySettings{TrustedProxies: []string{"10.0.0.0/8", " 192.0.2.1"}}, []string{"10.0.0.1:1", "192.0.2.1:1"}, []string{"127.0.0.1:1"}},
		"tokens":  {token, nil, []string{"127.0.0.1:1", "10.0.0.1:1"}},
		"both":    {both, []string{"10.0.0.1:1"}, []string{"127.0.0.1:1"}},
	} {
		identity, err := c.settings.identity(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (identity.Tokens != nil) != (c.settings.JWKS != "") {
			t.Errorf("%s: tokens %t", name, identity.Tokens != nil)
		}
		for _, peer := range c.believed {
			if buyer, err := identity.Of(from(peer)); buyer != "ada" || err != nil {
				t.Errorf("%s: from %s: %q, %v", name, peer, buyer, err)
			}
		}
		for _, peer := range c.not {
			if buyer, err := identity.Of(from(peer)); err == nil {
				t.Errorf("%s: from %s: %q", name, peer, buyer)
			}
		}
	}

	for name, settings := range map[string]identitySettings{
		"no network":              {TrustedProxies: []string{"gateway"}},
		"no issuer":               {JWKS: keys, JWTAudience: "a"},
		"no audience":             {JWKS: keys, JWTIssuer: "i"},
		"an issuer without keys":  {JWTIssuer: "i"},
		"an audience without any": {JWTAudience: "a", TrustedProxies: []string{"10.0.0.0/8"}},
		"no file":                 {JWKS: keys + "x", JWTIssuer: "i", JWTAudience: "a"},
	} {
		if _, err := settings.identity(slog.New(slog.DiscardHandler)); !errors.Is(err, errMisuse) || !strings.Contains(err.Error(), "ANTEROOM_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func from(peer string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{"X-Buyer-Id": {"ada"}}}
}

func TestCheckoutSettings(t *testing.T) {
	t.Parallel()
	key, err := ticket.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"", ticket.Keys{key}.Setting()} {
		if _, err := (secretSettings{CheckoutKeys: setting}).checkout(); err != nil {
			t.Errorf("%d characters: %v", len(setting), err)
		}
	}
	const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI"
	for _, setting := range []string{"k1", "k1:c2VjcmV0", "k1:" + secret + "zNDU2Nzg5"} {
		if _, err := (secretSettings{CheckoutKeys: setting}).checkout(); !errors.Is(err, errMisuse) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", setting, err)
		}
	}
}

// TestDevKeepsItsSecrets starts from a folder of the time before checkout keys.
func TestDevKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first, err := devSecrets(folder)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(folder, "secrets")
	text := strings.Join([]string{first.TicketKeys, first.BuyerKeys, first.OperatorToken, first.MerchantToken}, "\n")
	if err := os.WriteFile(kept, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := devSecrets(folder)
	if err != nil {
		t.Fatal(err)
	}
	third, err := devSecrets(folder)
	if err != nil {
		t.Fatal(err)
	}
	if second != third || second.CheckoutKeys == "" || second.CheckoutKeys == first.CheckoutKeys {
		t.Error("the checkout key is not kept")
	}
	second.CheckoutKeys = first.CheckoutKeys
	if first != second {
		t.Error("the other secrets are not kept")
	}
	if _, err := second.checkout(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(kept, []byte("one two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := devSecrets(folder); err == nil {
		t.Error("a file without secrets is taken")
	}
}
