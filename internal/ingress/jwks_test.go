package ingress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// keyServer is an issuer's server, in memory.
type keyServer struct {
	mu    sync.Mutex
	set   []byte
	down  bool
	slow  time.Duration
	calls int
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	set, down, slow := s.set, s.down, s.slow
	s.calls++
	s.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if down {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(set)), Request: r}, nil
}

func (s *keyServer) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *keyServer) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// withKeyServer runs a test in a bubble, with Tokens that are run beside it.
func withKeyServer(t *testing.T, server *keyServer, test func(t *testing.T, tokens *Tokens)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tokens, err := NewTokens(TokenConfig{
			Issuer: testIssuer, Audience: testAudience, JWKS: "https://login.example/keys", Client: &http.Client{Transport: server},
		})
		if err != nil {
			t.Fatal(err)
		}
		running(t, tokens)
		synctest.Wait()
		test(t, tokens)
	})
}

// running runs the tokens until the test ends.
func running(t *testing.T, tokens *Tokens) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tokens.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
	})
}

// counts expects that a token of this key counts.
func (t *Tokens) counts(test *testing.T, id string) {
	test.Helper()
	if buyer, err := t.buyer(withToken(signed(test, id, nil))); buyer != "ada" || err != nil {
		test.Errorf("a token of key %s: %q, %v", id, buyer, err)
	}
}

// refuses expects that a token of this key is refused so.
func (t *Tokens) refuses(test *testing.T, id string, as refusal) {
	test.Helper()
	_, err := t.buyer(withToken(signed(test, id, nil)))
	var p *problem
	if !errors.As(err, &p) || p.refusal != as {
		test.Errorf("a token of key %s: %v, expected %s", id, err, as.code())
	} else if as == unavailable && p.retryAfter == 0 {
		test.Errorf("a token of key %s: no time to come back", id)
	}
}

func TestKeysAreDownAndUp(t *testing.T) {
	t.Parallel()
	server := &keyServer{set: keySet(t, "ed"), down: true}
	withKeyServer(t, server, func(t *testing.T, tokens *Tokens) {
		tokens.refuses(t, "ed", unavailable) // it may be good
		server.change(func() { server.down = false })
		pass(lastRetry)
		tokens.counts(t, "ed")

		server.change(func() { server.down = true })
		pass(time.Hour)
		tokens.counts(t, "ed")                // the keys that are known are used
		tokens.refuses(t, "ed2", unavailable) // it may be in what cannot be read
		if calls := server.called(); calls > 60*3 {
			t.Errorf("asked %d times in an hour", calls)
		}
		server.change(func() { server.down, server.set = false, []byte("<html>") })
		pass(time.Hour)
		tokens.counts(t, "ed")
		server.change(func() { server.set = []byte(`{"keys":[]}`) })
		pass(time.Hour)
		tokens.counts(t, "ed")

		server.change(func() { server.set = keySet(t, "ed2") })
		pass(lastRetry)
		tokens.counts(t, "ed2")
		tokens.refuses(t, "ed", buyerRequired) // it has been withdrawn
	})
}

func TestKeyIsWithdrawn(t *testing.T) {
	t.Parallel()
	server := &keyServer{set: keySet(t, "ed", "ed2")}
	withKeyServer(t, server, func(t *testing.T, tokens *Tokens) {
		tokens.counts(t, "ed")
		server.change(func() { server.set = keySet(t, "ed2") })
		pass(fetchEvery)
		tokens.refuses(t, "ed", buyerRequired)
		tokens.counts(t, "ed2")
	})
}

// TestNewKey rotates: a token of a key that was not there counts at once, and
// made-up keys cost little.
func TestNewKey(t *testing.T) {
	t.Parallel()
	server := &keyServer{set: keySet(t, "ed")}
	withKeyServer(t, server, func(t *testing.T, tokens *Tokens) {
		server.change(func() { server.set, server.slow = keySet(t, "ed", "ed2"), unknownWait/2 })
		var crowd sync.WaitGroup
		for range 100 {
			crowd.Go(func() { tokens.counts(t, "ed2") }) // one reading for them all
		}
		crowd.Wait()
		if calls := server.called(); calls != 2 {
			t.Errorf("asked %d times, expected 2", calls)
		}

		started := time.Now()
		for n := range 1000 {
			token := signedAs(t, methodOf("stranger"), "made-up-"+strconv.Itoa(n), issuerKeys()["stranger"], nil)
			var p *problem
			if _, err := tokens.buyer(withToken(token)); !errors.As(err, &p) || p.refusal != buyerRequired {
				t.Errorf("a made-up key: %v", err)
			}
		}
		if calls := server.called(); calls != 2 || !time.Now().Equal(started) {
			t.Errorf("made-up keys: asked %d times, and waited %s", calls-2, time.Since(started))
		}
		pass(unknownPause)
		tokens.refuses(t, "stranger", buyerRequired)
		if calls := server.called(); calls != 3 {
			t.Errorf("asked %d times, expected 3", calls)
		}
	})
}

// TestSlowKeys has an issuer that takes longer than a call waits.
func TestSlowKeys(t *testing.T) {
	t.Parallel()
	server := &keyServer{set: keySet(t, "ed")}
	withKeyServer(t, server, func(t *testing.T, tokens *Tokens) {
		server.change(func() { server.set, server.slow = keySet(t, "ed", "ed2"), unknownWait*2 })
		started := time.Now()
		tokens.refuses(t, "ed2", unavailable)
		if waited := time.Since(started); waited != unknownWait {
			t.Errorf("waited %s", waited)
		}
		tokens.counts(t, "ed")
		if waited := time.Since(started); waited != unknownWait {
			t.Errorf("a known key waited too, %s", waited)
		}
		pass(unknownWait)
		synctest.Wait()
		tokens.counts(t, "ed2")
	})
}

func TestKeysFromAServer(t *testing.T) {
	t.Parallel()
	large := append(keySet(t, "ed"), strings.Repeat(" ", maxKeySet)...)
	answers := map[string]http.HandlerFunc{
		"/good":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keySet(t, "ed")) },
		"/moved":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) },
		"/missing": http.NotFound,
		"/failing": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(keySet(t, "ed"))
		},
		"/large":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) },
		"/page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"/useless": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keySet(t, "encrypts", "short", "ec384")) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w, r) }))
	defer server.Close()
	for path := range answers {
		tokens, err := NewTokens(TokenConfig{Issuer: testIssuer, Audience: testAudience, JWKS: server.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		tokens.refuses(t, "ed", unavailable)
		if err := tokens.load(t.Context()); (err == nil) != (path == "/good") {
			t.Errorf("%s: %v", path, err)
		}
		if path == "/good" {
			tokens.counts(t, "ed")
		} else {
			tokens.refuses(t, "ed", unavailable)
		}
	}
}

// TestKeysFromAFile writes the file anew.
func TestKeysFromAFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens, file := tokensOf(t, "ed")
		running(t, tokens)
		synctest.Wait()
		tokens.counts(t, "ed")
		if err := os.WriteFile(file, keySet(t, "ed2"), 0o600); err != nil {
			t.Fatal(err)
		}
		tokens.counts(t, "ed2") // at once, for a key that is not known
		tokens.refuses(t, "ed", buyerRequired)
		if err := os.WriteFile(file, keySet(t, "ed"), 0o600); err != nil {
			t.Fatal(err)
		}
		pass(fileEvery)
		tokens.counts(t, "ed")
	})
}

func TestTokenSettings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", keySet(t, "ed"))
	for name, config := range map[string]TokenConfig{
		"nothing":         {},
		"no keys":         {Issuer: "i", Audience: "a"},
		"no issuer":       {Audience: "a", JWKS: good},
		"no audience":     {Issuer: "i", JWKS: good},
		"no file":         {Issuer: "i", Audience: "a", JWKS: filepath.Join(folder, "none")},
		"a folder":        {Issuer: "i", Audience: "a", JWKS: folder},
		"no key in it":    {Issuer: "i", Audience: "a", JWKS: write("useless", keySet(t, "encrypts", "short", "ec384"))},
		"no JSON":         {Issuer: "i", Audience: "a", JWKS: write("text", []byte("k1:secret"))},
		"another scheme":  {Issuer: "i", Audience: "a", JWKS: "ftp://login.example/keys"},
		"a URL of nobody": {Issuer: "i", Audience: "a", JWKS: "https:///keys"},
	} {
		if _, err := NewTokens(config); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []string{good, "https://127.0.0.1:1/keys"} { // nobody answers, and that is no reason not to start
		if _, err := NewTokens(TokenConfig{Issuer: "i", Audience: "a", JWKS: at}); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}
