package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
)

// Bounds of fetching keys.
const (
	maxKeySet    = 1 << 20 // bytes
	keysWait     = 10 * time.Second
	refreshEvery = time.Minute // at most, for keys that are not in the set
	firstEvery   = time.Second // at most, until there is a set
)

// keySource has the keys by which tokens are verified. It owns a goroutine
// while it fetches them, which is keysWait at most.
type keySource struct {
	url  string // empty where the keys were given
	http *http.Client

	mu       sync.Mutex
	keys     map[string]ed25519.PublicKey // by id; nil until there is a set
	began    time.Time                    // when the last fetch began
	failed   error                        // of the last fetch, where it failed
	fetching chan struct{}                // closed at its end; nil while there is none
}

func newKeySource(config CheckoutConfig) (*keySource, error) {
	if (len(config.Keys) == 0) == (config.KeysURL == "") {
		return nil, errors.New("client: a verifier needs either keys or the URL of keys")
	}
	s := &keySource{url: config.KeysURL, http: withoutRedirects(config.HTTP)}
	if s.url == "" {
		keys, err := readKeys(config.Keys)
		s.keys = keys
		return s, err
	}
	at, err := url.Parse(s.url)
	if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" || at.User != nil {
		return nil, errors.New("client: the URL of the keys must be one of http or https, without a user")
	}
	return s, nil
}

// readKeys reads a JWK set. Keys that cannot sign checkout tokens are left out.
func readKeys(set []byte) (map[string]ed25519.PublicKey, error) {
	read, err := keyfunc.NewJWKSetJSON(set)
	if err != nil {
		return nil, fmt.Errorf("reading the key set: %w", err)
	}
	all, err := read.Storage().KeyReadAll(context.Background()) // it is in memory
	if err != nil {
		return nil, fmt.Errorf("reading the key set: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey)
	for _, key := range all {
		if public, ok := key.Key().(ed25519.PublicKey); ok && key.Marshal().KID != "" {
			keys[key.Marshal().KID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that verifies checkout tokens")
	}
	return keys, nil
}

// key gives the key with an id, or nil where the service has none with it. It
// gives an error where that is not known.
func (s *keySource) key(ctx context.Context, id string) (ed25519.PublicKey, error) {
	key, fetching, err := s.look(id)
	if fetching == nil {
		return key, err
	}
	select {
	case <-fetching:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the keys: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[id]; key != nil {
		return key, nil
	}
	return nil, s.failed
}

// look gives the key, if it is known, or else a fetch to wait for, if one is
// under way or due. Whoever makes up ids of keys causes no more of them.
func (s *keySource) look(id string) (ed25519.PublicKey, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[id]; key != nil || s.url == "" || id == "" {
		return key, nil, nil
	}
	if s.fetching != nil {
		return nil, s.fetching, nil
	}
	every := refreshEvery
	if s.keys == nil {
		every = firstEvery
	}
	if !s.began.IsZero() && time.Since(s.began) < every {
		return nil, nil, s.failed
	}
	s.began, s.fetching = time.Now(), make(chan struct{})
	// Nobody's context: one who leaves must not fail it for those who stay.
	go s.refresh(context.Background())
	return nil, s.fetching, nil
}

func (s *keySource) refresh(ctx context.Context) {
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.keys = keys
	}
	close(s.fetching)
	s.fetching = nil
}

func (s *keySource) fetch(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keysWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys: %w", err)
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := s.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetching the keys: %w", withoutURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the keys: the answer is %s", response.Status)
	}
	set, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching the keys: %w", err)
	case len(set) > maxKeySet:
		return nil, fmt.Errorf("fetching the keys: the answer is longer than %d bytes", maxKeySet)
	}
	return readKeys(set)
}
