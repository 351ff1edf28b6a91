package client_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

// startService starts a service that stands in for anteroom in the examples:
// it has one sale and one shopper, who is behind one other and then gets a unit.
func startService() *httptest.Server {
	calls := http.NewServeMux()
	say := func(call string, status int, answer string) {
		calls.HandleFunc(call, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, answer)
		})
	}
	status := func(state, more string) string {
		return fmt.Sprintf(`{"ticket":"AQRk","id":"0-2","product":"console","quantity":1,"state":%q,`+
			`"requested_at":"2026-12-01T10:00:00Z","server_time":"2026-12-01T10:00:00Z","poll_after_ms":250%s}`, state, more)
	}
	held := status("held", `,"expires_at":"2026-12-01T10:08:00Z","checkout_url":"https://shop.example/pay?anteroom_token=`+checkoutToken()+`"`)

	say("POST /v1/products/console/buy", http.StatusAccepted, status("queued", `,"position":1`))
	calls.HandleFunc("GET /queue/AQRk/ws", func(w http.ResponseWriter, r *http.Request) {
		connection, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer connection.CloseNow()
		for _, now := range []string{status("queued", `,"position":1`), status("queued", `,"position":0`), held} {
			if connection.Write(r.Context(), websocket.MessageText, []byte(now)) != nil {
				return
			}
		}
		<-connection.CloseRead(r.Context()).Done()
	})
	say("POST /v1/holds/0-2/confirm", http.StatusOK, status("confirmed", ""))
	say("GET /.well-known/jwks.json", http.StatusOK, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"c1","use":"sig","alg":"EdDSA","x":"`+
		base64.RawURLEncoding.EncodeToString(checkoutKey().Public().(ed25519.PublicKey))+`"}]}`)

	sale := `{"sale":"0-1","product":"console","state":%q,"quantity":%d,"version":%d}`
	say("POST /v1/sales", http.StatusCreated, fmt.Sprintf(sale, "open", 100, 1))
	say("PATCH /v1/sales/console", http.StatusOK, fmt.Sprintf(sale, "open", 150, 2))
	say("POST /v1/sales/console/pause", http.StatusOK, fmt.Sprintf(sale, "paused", 150, 3))
	calls.HandleFunc("GET /v1/sales/console/requests", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "" {
			fmt.Fprint(w, `{"requests":[{"id":"0-2","state":"confirmed","payment_reference":"order-1"}],"next":"0-2"}`)
			return
		}
		fmt.Fprint(w, `{"requests":[{"id":"0-3","state":"confirmed","payment_reference":"order-2"}]}`)
	})
	return httptest.NewServer(calls)
}

func checkoutKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
}

func checkoutToken() string {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "anteroom", "aud": "console", "sub": "0-2", "exp": time.Now().Add(time.Minute).Unix(), "quantity": 1, "sale": "0-1",
	})
	token.Header["kid"] = "c1"
	text, err := token.SignedString(checkoutKey())
	if err != nil {
		panic(err)
	}
	return text
}
