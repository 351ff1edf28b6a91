package ticket

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestEd25519(t *testing.T) {
	t.Parallel()
	// RFC 8032, section 7.1, test 1.
	seed, _ := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	const public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	keys, err := ParseKeys("KEYS", "k1:"+base64.StdEncoding.EncodeToString(seed))
	if err != nil {
		t.Fatal(err)
	}
	private, err := keys[0].Ed25519()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(private.Public().(ed25519.PublicKey)); got != public {
		t.Errorf("public key %s, expected %s", got, public)
	}

	long := base64.StdEncoding.EncodeToString([]byte("a secret of more than thirty-two bytes"))
	keys, err = ParseKeys("KEYS", "k1:"+long)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys[0].Ed25519(); err == nil || strings.Contains(err.Error(), "thirty") || strings.Contains(err.Error(), long) {
		t.Errorf("a longer secret: %v", err)
	}
	if _, err := (Key{}).Ed25519(); err == nil {
		t.Error("the zero key has a private key")
	}
}
