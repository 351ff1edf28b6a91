package ticket

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Ed25519 gives the private key of which the secret is the seed (RFC 8032). A
// seed has exactly 32 bytes; the error quotes nothing of a secret that is none.
func (k Key) Ed25519() (ed25519.PrivateKey, error) {
	if k.secret == nil {
		return nil, errors.New("the key has no secret")
	}
	seed := k.secret()
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("key %q: the secret is not %d bytes, as the seed of an Ed25519 key is", k.id, ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
