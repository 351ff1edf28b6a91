package rival

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
)

func TestMain(m *testing.M) { devstacktest.Main(m) }

const product = "console"

// made gives a rival that is closed when the test ends.
func made(t testing.TB, config Config) *Rival {
	t.Helper()
	r, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// on names the backends of a kind.
func on(b devstacktest.Backends, kind Kind, units int64) Config {
	config := Config{Kind: kind, PostgresURL: b.PostgresURL, Product: product, Units: units}
	if kind.UsesRedis() {
		config.RedisURL = b.RedisURL
	}
	return config
}

// served gives the address where a rival is served.
func served(t testing.TB, r *Rival) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r.Handler()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return listener.Addr().String()
}

// told is what a click heard.
type told struct {
	code       int
	retryAfter string
	status     status
	problem    problem
}

// click sends one click past the network. ctx is the shopper's.
func click(ctx context.Context, t testing.TB, r *Rival, buyer string) told {
	t.Helper()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/products/"+r.config.Product+"/buy", http.NoBody)
	request.Header.Set("X-Buyer-ID", buyer)
	return answered(t, r, request)
}

func answered(t testing.TB, r *Rival, request *http.Request) told {
	t.Helper()
	recorder := httptest.NewRecorder()
	r.Handler().ServeHTTP(recorder, request)
	heard := told{code: recorder.Code, retryAfter: recorder.Header().Get("Retry-After")}
	into, contentType := any(&heard.problem), "application/problem+json"
	if heard.code < 300 {
		into, contentType = &heard.status, "application/json"
	}
	if got := recorder.Header().Get("Content-Type"); got != contentType {
		t.Errorf("answer %d is %q, want %q", heard.code, got, contentType)
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
		t.Errorf("answer %d: %v: %s", heard.code, err, recorder.Body)
	}
	return heard
}

// wantTally fails unless what has a row is as wanted.
func wantTally(t testing.TB, r *Rival, want Tally) {
	t.Helper()
	got, err := r.Tally(t.Context())
	if err != nil || got != want {
		t.Errorf("tally %+v, %v, want %+v", got, err, want)
	}
}

// left is the count in Redis.
func left(t testing.TB, r *Rival) int64 {
	t.Helper()
	n, err := r.cache.client.Get(t.Context(), r.cache.stock).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	const patience = time.Minute
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-ticker.C
	}
}
