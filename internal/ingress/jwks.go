package ingress

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
)

// How a key set is read.
const (
	fetchEvery   = 5 * time.Minute  // from a URL
	fileEvery    = 30 * time.Second // from a file
	fetchTimeout = 5 * time.Second
	firstRetry   = time.Second      // after a reading that failed; doubled up to lastRetry
	lastRetry    = 30 * time.Second //
	unknownPause = 10 * time.Second // between two readings for the sake of unknown keys: anybody can name one
	unknownWait  = time.Second      // of a call, for such a reading
	maxKeySet    = 1 << 20          // bytes
	leastRSABits = 2048             // bits; RFC 7518, section 3.3
)

// errKeysUnknown means that a token cannot be judged, because the keys cannot
// be read.
var errKeysUnknown = errors.New("the issuer's keys are not known")

// NewTokens makes Tokens. A file is read at once, and has to hold a key that can
// be used; a URL is first asked by Run, because it may be down.
func NewTokens(config TokenConfig) (*Tokens, error) {
	switch {
	case config.JWKS == "":
		return nil, errors.New("a key set (JWKS) is needed")
	case config.Issuer == "" || config.Audience == "":
		return nil, errors.New("with a key set (JWKS), issuer and audience are needed")
	}
	t := &Tokens{
		config: config, log: config.Logger, parser: newTokenParser(config),
		read: readFile(config.JWKS), every: fileEvery, wanted: make(chan struct{}, 1),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if scheme, _, found := strings.Cut(config.JWKS, "://"); found {
		at, err := url.Parse(config.JWKS)
		if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") {
			return nil, fmt.Errorf("a key set (JWKS) is a file or has an http or https URL, not one of scheme %q", scheme)
		}
		t.read, t.every = fetch(config.Client, config.JWKS), fetchEvery
		return t, nil
	}
	if err := t.load(context.Background()); err != nil {
		return nil, fmt.Errorf("reading the key set (JWKS): %w", err)
	}
	return t, nil
}

// Run reads the keys, again and again, until ctx is done. Where that fails the
// keys that were read last go on to be used.
func (t *Tokens) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		pending := t.begin()
		next := t.every
		known, failed := t.keys.Load() != nil, t.failed.Load()
		err := t.load(ctx)
		t.end(pending)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			t.log.Warn("the key set of shoppers' tokens cannot be read", "again_in", retry, "keys_known", known, "error", err)
			next, retry = retry, min(2*retry, lastRetry)
		default:
			if failed || !known {
				t.log.Info("the key set of shoppers' tokens has been read")
			}
			retry = firstRetry
		}
		timer := time.NewTimer(next - rand.N(next/5))
		select {
		case <-timer.C:
		case <-t.wanted:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// begin says that a reading is under way, and gives what to close after it.
func (t *Tokens) begin() chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.wanted: // this is the one that was asked for
	default:
	}
	if t.pending == nil {
		t.pending = make(chan struct{})
	}
	return t.pending
}

func (t *Tokens) end(pending chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = nil
	close(pending)
}

// readAgain has the keys read once more, and waits for it. Calls share a reading.
// When nothing is under way and the last one that was asked for is not long ago,
// it refuses at once: whoever makes up keys costs the issuer a call now and then,
// and nobody else a wait. The error is errKeysUnknown where the key may be there.
func (t *Tokens) readAgain(ctx context.Context) error {
	t.mu.Lock()
	if t.pending == nil {
		if time.Since(t.asked) < unknownPause {
			t.mu.Unlock()
			if t.failed.Load() {
				return errKeysUnknown
			}
			return jwkset.ErrKeyNotFound
		}
		t.asked, t.pending = time.Now(), make(chan struct{})
		t.wanted <- struct{}{} // has room: its element goes before pending does
	}
	pending := t.pending
	t.mu.Unlock()

	patience := time.NewTimer(unknownWait)
	defer patience.Stop()
	select {
	case <-pending:
		return nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return errKeysUnknown
}

// load reads the keys once. Run's goroutine, or NewTokens's before it, calls it.
func (t *Tokens) load(ctx context.Context) error {
	text, err := t.read(ctx)
	if err == nil {
		var keys keyfunc.Keyfunc
		if keys, err = parseKeySet(ctx, text); err == nil {
			t.keys.Store(&keys)
		}
	}
	t.failed.Store(err != nil)
	return err
}

// parseKeySet takes the keys that can verify a token. Issuers publish others
// too; those are left out, symmetric ones among them.
func parseKeySet(ctx context.Context, text []byte) (keyfunc.Keyfunc, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("it is not a JSON Web Key Set") // the decoder's error could quote a key
	}
	storage := jwkset.NewMemoryStorage()
	usable := 0
	for _, raw := range set.Keys {
		key, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || !verifies(key) {
			continue
		}
		if err := storage.KeyWrite(ctx, key); err != nil {
			return nil, fmt.Errorf("keeping a key: %w", err)
		}
		usable++
	}
	if usable == 0 {
		return nil, errors.New("no key in it has an id (kid) and is for RS256, ES256 or EdDSA")
	}
	return keyfunc.New(keyfunc.Options{Storage: storage})
}

func verifies(key jwkset.JWK) bool {
	about := key.Marshal()
	if about.KID == "" || (about.USE != "" && about.USE != jwkset.UseSig) {
		return false
	}
	switch public := key.Key().(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= leastRSABits
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return true
	}
	return false
}

func readFile(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("opening the key set: %w", err)
		}
		defer func() { _ = file.Close() }() // nothing was written
		return readKeySet(file)
	}
}

func fetch(client *http.Client, from string) func(context.Context) ([]byte, error) {
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("asking for the key set: %w", err)
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, fmt.Errorf("asking for the key set: %w", err)
		}
		defer func() { _ = response.Body.Close() }() // it has been read
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("asking for the key set: %s", response.Status)
		}
		return readKeySet(response.Body)
	}
}

func readKeySet(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxKeySet+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the key set: %w", err)
	case len(text) > maxKeySet:
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeySet)
	}
	return text, nil
}
