package ingress

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

const (
	checkoutKeys = "new:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=,old:YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="
	shopURL      = "https://shop.example/pay?from=anteroom"
)

func checkoutOf(t testing.TB, setting string) *Checkout {
	t.Helper()
	keys, err := ticket.ParseKeys("checkout", setting)
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := NewCheckout(keys)
	if err != nil {
		t.Fatal(err)
	}
	return checkout
}

// inShop runs a test with a sale of "hat" that has this checkout_url.
func inShop(t *testing.T, to string, hold time.Duration, change func(*Config), test func(t *testing.T, w *world, i *Ingress)) {
	t.Helper()
	inBubble(t, change, func(t *testing.T, w *world, i *Ingress) {
		w.openSale("hat", func(s *sale.Settings) { s.CheckoutURL, s.HoldSeconds = to, int64(hold/time.Second) })
		synctest.Wait()
		test(t, w, i)
	})
}

// hold gives ada's running hold of the hat.
func (i *Ingress) hold(t *testing.T, w *world) status {
	t.Helper()
	s := i.call(t, "POST", "/v1/products/hat/buy", "", as("ada")).status(http.StatusAccepted)
	if s.CheckoutURL != "" {
		t.Errorf("queued, with %s", s.CheckoutURL)
	}
	w.decide(0)
	synctest.Wait()
	if s = i.polls(t, s); s.State != sale.Held || s.CheckoutURL != "" {
		t.Fatalf("held, and not begun: %+v", s)
	}
	w.start(0)
	synctest.Wait()
	return i.polls(t, s)
}

func withCheckout(t *testing.T) func(*Config) {
	return func(c *Config) { c.Checkout = checkoutOf(t, checkoutKeys) }
}

// tokenIn takes the token out of a URL and gives both.
func tokenIn(t *testing.T, text string) (rest, token string) {
	t.Helper()
	at, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	token = query.Get(checkoutParameter)
	query.Del(checkoutParameter)
	at.RawQuery = query.Encode()
	return at.String(), token
}

// TestShopVerifiesByPublishedKeys does what a shop does.
func TestShopVerifiesByPublishedKeys(t *testing.T) {
	t.Parallel()
	inShop(t, shopURL, 480*time.Second, withCheckout(t), func(t *testing.T, w *world, i *Ingress) {
		s := i.hold(t, w)
		rest, token := tokenIn(t, s.CheckoutURL)
		if rest != shopURL {
			t.Errorf("the rest is %s", rest)
		}

		published := i.call(t, "GET", "/.well-known/jwks.json", "", nil)
		published.is(http.StatusOK)
		if got := published.header.Get("Cache-Control"); got != "public, max-age=300" {
			t.Errorf("Cache-Control %q", got)
		}
		if got := published.header.Get("Content-Type"); got != "application/jwk-set+json" {
			t.Errorf("Content-Type %q", got)
		}
		keys, err := keyfunc.NewJWKSetJSON(published.body)
		if err != nil {
			t.Fatal(err)
		}
		shop := []jwt.ParserOption{
			jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("anteroom"), jwt.WithAudience("hat"),
			jwt.WithSubject(s.ID), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(time.Now),
		}
		parsed, err := jwt.Parse(token, keys.Keyfunc, shop...)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := time.Parse(time.RFC3339, s.ExpiresAt)
		if err != nil {
			t.Fatal(err)
		}
		want := jwt.MapClaims{
			"iss": "anteroom", "aud": "hat", "sub": s.ID, "sale": "0-2", "quantity": 1.0,
			"iat": float64(ends.Add(-checkoutLife).Unix()), "exp": float64(ends.Unix()),
			"jti": s.ID + "-" + strconv.FormatInt(ends.Unix(), 10),
		}
		if diff := cmp.Diff(want, parsed.Claims.(jwt.MapClaims)); diff != "" {
			t.Errorf("claims (-want +got)\n%s", diff)
		}
		if id := parsed.Header["kid"]; id != "new" {
			t.Errorf("signed by key %v", id)
		}

		for name, setting := range map[string]string{
			"a key that was replaced": "newer:eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHk=," + checkoutKeys,
			"a key that is gone":      "newer:eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHl6eHk=",
		} {
			later, err := keyfunc.NewJWKSetJSON(checkoutOf(t, setting).published)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.Parse(token, later.Keyfunc, shop...); (err == nil) != strings.Contains(setting, "new:") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if bytes.Contains(published.body, []byte(`"d"`)) {
			t.Error("a private key is published")
		}
		for _, text := range strings.Split(checkoutKeys, ",") {
			_, secret, _ := strings.Cut(text, ":")
			if bytes.Contains(published.body, []byte(strings.TrimRight(secret, "="))) {
				t.Error("a secret is published")
			}
		}
	})
}

// TestCheckoutURLStays polls: the status is the same until the next token is due.
func TestCheckoutURLStays(t *testing.T) {
	t.Parallel()
	const hold = 30 * time.Minute
	inShop(t, shopURL, hold, withCheckout(t), func(t *testing.T, w *world, i *Ingress) {
		s := i.hold(t, w)
		other := w.ingressOf(t, withCheckout(t)) // another ingress, with the same keys
		tag, last, changes := "", s.CheckoutURL, 0
		for range hold/time.Minute - 1 {
			headers := header{}
			if tag != "" {
				headers["If-None-Match"] = tag
			}
			a := i.call(t, "GET", "/queue/"+s.Ticket, "", headers)
			tag = a.header.Get("ETag")
			if a.code != http.StatusNotModified {
				if now := a.status(http.StatusOK); now.CheckoutURL != last {
					last = now.CheckoutURL
					changes++
				}
			}
			there := other.call(t, "GET", "/queue/"+s.Ticket, "", header{"If-None-Match": tag})
			there.is(http.StatusNotModified)

			_, token := tokenIn(t, last)
			claims := jwt.MapClaims{}
			if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
				t.Fatal(err)
			}
			end, err := claims.GetExpirationTime()
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(end.Time); left <= 0 || left > checkoutLife {
				t.Fatalf("a token that is shown is valid for %s", left)
			}
			pass(time.Minute)
		}
		if want := int((hold - checkoutLife) / checkoutStep); changes != want {
			t.Errorf("%d new tokens, expected %d", changes, want)
		}
		pass(2 * time.Minute) // the hold is over, and the log has not said so yet
		if s = i.polls(t, s); s.State != sale.Held || s.CheckoutURL != "" {
			t.Errorf("at the end: %+v", s)
		}
	})
}

func TestLifeOfCheckoutTokens(t *testing.T) {
	t.Parallel()
	step, life := int64(checkoutStep/time.Second), int64(checkoutLife/time.Second)
	rapid.Check(t, func(t *rapid.T) {
		ends := rapid.Int64Range(1_000_000, 2_000_000).Draw(t, "ends")
		now := ends - rapid.Int64Range(-100, 10_000).Draw(t, "left")
		issued, expires, ok := lifeOf(ends, now)
		if ok != (now < ends) {
			t.Fatalf("ok is %t", ok)
		}
		if !ok {
			return
		}
		switch left := expires - now; {
		case expires > ends:
			t.Fatal("valid after the hold's end")
		case left > life || expires-issued != life || issued > now:
			t.Fatal("valid for too long")
		case left <= 0 || (expires != ends && left <= step):
			t.Fatalf("valid for %d s only", left)
		case (ends-expires)%step != 0:
			t.Fatal("not one of the steps")
		}
	})
}

// TestCheckoutWithoutKeys shows the URL as it is, and says so once.
func TestCheckoutWithoutKeys(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	inShop(t, shopURL, time.Minute, func(c *Config) { c.Logger = logTo(&output) }, func(t *testing.T, w *world, i *Ingress) {
		s := i.hold(t, w)
		for range 3 {
			if s = i.polls(t, s); s.CheckoutURL != shopURL {
				t.Errorf("checkout_url %q", s.CheckoutURL)
			}
		}
		if n := strings.Count(output.String(), "no checkout keys are set"); n != 1 {
			t.Errorf("said %d times: %s", n, output.String())
		}
		a := i.call(t, "GET", "/.well-known/jwks.json", "", nil)
		a.is(http.StatusOK)
		if string(a.body) != `{"keys":[]}` {
			t.Errorf("published %s", a.body)
		}
	})
}

// TestCheckoutURLOfTheLog has a URL in the log that no door has checked.
func TestCheckoutURLOfTheLog(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", "javascript:alert(1)"} {
		inShop(t, to, time.Minute, withCheckout(t), func(t *testing.T, w *world, i *Ingress) {
			if s := i.hold(t, w); s.CheckoutURL != "" || s.ExpiresAt == "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestCheckoutTokenIsNotLogged looks for it.
func TestCheckoutTokenIsNotLogged(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	change := func(c *Config) { c.Checkout, c.Logger = checkoutOf(t, checkoutKeys), logTo(&output) }
	inShop(t, shopURL, time.Minute, change, func(t *testing.T, w *world, i *Ingress) {
		_, token := tokenIn(t, i.hold(t, w).CheckoutURL)
		if _, signature, _ := strings.Cut(token, "."); strings.Contains(output.String(), signature) || signature == "" {
			t.Errorf("the log has the token %q", token)
		}
	})
}

func TestCheckoutKeysAreSeeds(t *testing.T) {
	t.Parallel()
	keys, err := ticket.ParseKeys("checkout", "k1:"+base64.StdEncoding.EncodeToString([]byte("a secret of more than thirty-two bytes")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCheckout(keys); err == nil {
		t.Error("a secret that is no seed is taken")
	}
}

func TestValidCheckoutURL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://shop.example", "http://127.0.0.1:8080/pay", "https://shop.example/pay?a=b&c=d", "HTTPS://shop.example/%20?",
		"https://[2001:db8::1]/", "https://shop.example/" + strings.Repeat("a", sale.MaxURL-21),
	} {
		if err := validCheckoutURL(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "shop.example/pay", "/pay", "//shop.example/pay", "ftp://shop.example", "javascript:alert(1)", "https:shop.example", "https://", "https:///pay",
		"https://:443/pay", "https://ada@shop.example/", "https://ada:secret@shop.example/", "https://shop.example/#", "https://shop.example/#top",
		"https://shop.example/a b", "https://shop.example/\u00e4", "https://shop.example/\n", `https://shop.example\@other.example/`, `https://shop.example/<b>`,
		"https://shop.example:port/", "https://shop.example/%zz", "https://shop.example/?anteroom_token=x", "https://shop.example/?anteroom%5ftoken=x",
		"https://shop.example/" + strings.Repeat("a", sale.MaxURL-20),
	} {
		if err := validCheckoutURL(text); err == nil {
			t.Errorf("%q is valid", text)
		}
	}
}

func TestWithParameter(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"https://a": "https://a?n=v", "https://a/b": "https://a/b?n=v", "https://a/?": "https://a/?n=v",
		"https://a/?b=c": "https://a/?b=c&n=v", "https://a/?b=c&": "https://a/?b=c&n=v", "https://a/?z=%2F&b": "https://a/?z=%2F&b&n=v",
	} {
		if got := withParameter(to, "n", "v"); got != want {
			t.Errorf("%s: %s, expected %s", to, got, want)
		}
	}
}

func BenchmarkCheckoutURL(b *testing.B) {
	checkout := checkoutOf(b, checkoutKeys)
	now := time.Now()
	h := handoff{url: shopURL, product: "hat", request: "0-12345", sale: "0-2", quantity: 1, ends: sale.Time(now.Add(time.Minute).UnixMilli())}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.quantity++
			if _, err := checkout.url(h, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := checkout.url(h, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestURLsKeptAreBounded has more holds than are kept, and then the first again.
func TestURLsKeptAreBounded(t *testing.T) {
	t.Parallel()
	checkout := checkoutOf(t, checkoutKeys)
	now := time.Now()
	h := handoff{url: shopURL, product: "hat", request: "0-1", sale: "0-0", quantity: 1, ends: sale.Time(now.Add(time.Minute).UnixMilli())}
	first, err := checkout.url(h, now)
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxURLsKept {
		checkout.kept[keptURL{of: handoff{quantity: int64(n)}}] = ""
	}
	other := h
	other.request = "0-2"
	if second, err := checkout.url(other, now); err != nil || second == first {
		t.Errorf("another hold's URL is %s (%v)", second, err)
	}
	if len(checkout.kept) != 1 {
		t.Errorf("%d are kept", len(checkout.kept))
	}
	if again, err := checkout.url(h, now); err != nil || again != first {
		t.Errorf("made anew it is %s, and was %s (%v)", again, first, err)
	}
}
