package ticket

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	maxKeyIDLength  = 8
	minSecretLength = 32
)

// Key is a secret with an id. The zero Key is not usable; keys come from
// ParseKeys and GenerateKey. It prints as its id and nothing else.
type Key struct {
	id string
	// A function, because fmt calls no methods on what lies in an unexported
	// field, but prints it by reflection; it follows a pointer too when the verb
	// does not fit. A function prints as an address, always.
	secret func() []byte
}

func newKey(id string, secret []byte) Key {
	return Key{id: id, secret: func() []byte { return secret }}
}

// ID gives the key's id, which is public.
func (k Key) ID() string { return k.id }

// String gives the id, with a word in place of the secret.
func (k Key) String() string { return k.id + ":REDACTED" }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Format writes String, whatever the verb.
func (k Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, k.String()) }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Keys is a setting's keys, newest first: the first one signs, all verify.
type Keys []Key

// Setting gives the text that ParseKeys reads, SECRETS INCLUDED: for handing
// keys to a child process through its environment, and nothing else.
func (k Keys) Setting() string {
	var b strings.Builder
	for i, key := range k {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(key.id)
		b.WriteByte(':')
		if key.secret != nil {
			b.WriteString(base64.StdEncoding.EncodeToString(key.secret()))
		}
	}
	return b.String()
}

// String gives the ids.
func (k Keys) String() string { return k.redacted() }

// GoString gives the ids.
func (k Keys) GoString() string { return k.redacted() }

// Format writes the ids, whatever the verb.
func (k Keys) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, k.redacted()) }

// LogValue gives the ids.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.redacted()) }

func (k Keys) redacted() string {
	texts := make([]string, len(k))
	for i, key := range k {
		texts[i] = key.String()
	}
	return strings.Join(texts, ",")
}

// GenerateKey makes a key with a random secret, for demo and dev: nobody else
// has it, and it is gone with its process unless it is handed on.
func GenerateKey(id string) (Key, error) {
	if !isKeyID(id) {
		return Key{}, fmt.Errorf("generating a key: %w", errKeyID)
	}
	secret := make([]byte, minSecretLength)
	// It never fails: since Go 1.24 it ends the program where there is no randomness.
	_, _ = rand.Read(secret)
	return newKey(id, secret), nil
}

// ParseKeys reads `id:base64,id2:base64`, the value of the setting called name.
// An id is 1 to 8 of a-z 0-9; a secret has at least 32 bytes, in the standard or
// the URL alphabet, padded or not. White space around a key, as a file's last
// newline, does not count. Errors name the setting and the key's place in it,
// and quote nothing of it: a misplaced secret would be quoted too.
func ParseKeys(name, setting string) (Keys, error) {
	if strings.TrimSpace(setting) == "" {
		return nil, fmt.Errorf("%s: no key is set", name)
	}
	var keys Keys
	for i, text := range strings.Split(setting, ",") {
		key, err := parseKey(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", name, i+1, err)
		}
		keys = append(keys, key)
	}
	if err := keys.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}

var (
	errKeyID        = fmt.Errorf("the id is not 1 to %d of a-z 0-9", maxKeyIDLength)
	errSecretLength = fmt.Errorf("the secret is shorter than %d bytes", minSecretLength)
)

func parseKey(text string) (Key, error) {
	if text == "" {
		return Key{}, errors.New("it is empty")
	}
	id, encoded, found := strings.Cut(text, ":")
	if !found {
		return Key{}, errors.New("it has no colon between id and secret")
	}
	if !isKeyID(id) {
		return Key{}, errKeyID
	}
	secret, err := secretEncoding(encoded).DecodeString(encoded)
	if err != nil {
		return Key{}, errors.New("the secret is not base64")
	}
	if len(secret) < minSecretLength {
		return Key{}, errSecretLength
	}
	return newKey(id, secret), nil
}

func secretEncoding(encoded string) *base64.Encoding {
	encoding := base64.StdEncoding
	if strings.ContainsAny(encoded, "-_") {
		encoding = base64.URLEncoding
	}
	if !strings.HasSuffix(encoded, "=") {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	return encoding.Strict()
}

func (k Keys) validate() error {
	if len(k) == 0 {
		return errors.New("there is no key")
	}
	seen := make(map[string]bool, len(k))
	for i, key := range k {
		if key.secret == nil {
			return fmt.Errorf("key %d has no secret", i+1)
		}
		if seen[key.id] {
			return fmt.Errorf("key id %q is there twice", key.id)
		}
		seen[key.id] = true
	}
	return nil
}

func isKeyID(id string) bool {
	if len(id) < 1 || len(id) > maxKeyIDLength {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
