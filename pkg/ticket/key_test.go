package ticket

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A secret with every letter of base64 that the two alphabets write differently.
func spikySecret() []byte {
	return bytes.Repeat([]byte{0xfb, 0xff, 0xbf, 0xfe}, 9)[:35]
}

func TestParseKeysAcceptsEachBase64(t *testing.T) {
	t.Parallel()
	for length := 32; length < 36; length++ {
		secret := bytes.Repeat([]byte{0xfb, 0xff, 0xbf, 0xfe}, 9)[:length]
		for name, encoding := range map[string]*base64.Encoding{
			"standard": base64.StdEncoding, "standard, raw": base64.RawStdEncoding,
			"URL": base64.URLEncoding, "URL, raw": base64.RawURLEncoding,
		} {
			keys, err := ParseKeys("KEYS", " id8chars:"+encoding.EncodeToString(secret)+"\n")
			if err != nil {
				t.Errorf("%s, %d bytes: %v", name, length, err)
				continue
			}
			if len(keys) != 1 || keys[0].ID() != "id8chars" || !bytes.Equal(keys[0].secret(), secret) {
				t.Errorf("%s, %d bytes: other keys came out", name, length)
			}
		}
	}
}

func TestParseKeysErrors(t *testing.T) {
	t.Parallel()
	secret := base64.StdEncoding.EncodeToString(spikySecret())
	short := base64.StdEncoding.EncodeToString(spikySecret()[:31])
	for _, test := range []struct{ name, setting, want string }{
		{"nothing", "", "KEYS: no key is set"},
		{"white space", " \n", "KEYS: no key is set"},
		{"no colon", secret, "KEYS: key 1: it has no colon between id and secret"},
		{"no id", ":" + secret, "KEYS: key 1: the id is not 1 to 8 of a-z 0-9"},
		{"long id", "abcdefghi:" + secret, "KEYS: key 1: the id is not 1 to 8 of a-z 0-9"},
		{"capital id", "K1:" + secret, "KEYS: key 1: the id is not 1 to 8 of a-z 0-9"},
		{"id and secret swapped", secret + ":k1", "KEYS: key 1: the id is not 1 to 8 of a-z 0-9"},
		{"no secret", "k1:", "KEYS: key 1: the secret is shorter than 32 bytes"},
		{"short secret", "k1:" + short, "KEYS: key 1: the secret is shorter than 32 bytes"},
		{"not base64", "k1:" + secret[:20] + "!" + secret[20:], "KEYS: key 1: the secret is not base64"},
		{"both alphabets", "k1:-" + secret, "KEYS: key 1: the secret is not base64"},
		{"truncated", "k1:" + secret[:45], "KEYS: key 1: the secret is not base64"},
		{"left-over bits", "k1:" + strings.Repeat("A", 42) + "B", "KEYS: key 1: the secret is not base64"},
		{"missing comma", "k1:" + secret + "k2:" + secret, "KEYS: key 1: the secret is not base64"},
		{"last comma", "k1:" + secret + ",", "KEYS: key 2: it is empty"},
		{"second key", "k1:" + secret + ",k2:" + short, "KEYS: key 2: the secret is shorter than 32 bytes"},
		{"the same id", "k1:" + secret + ",k1:" + secret, `KEYS: key id "k1" is there twice`},
	} {
		keys, err := ParseKeys("KEYS", test.setting)
		if keys != nil || err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, %v, want error %q", test.name, keys, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: the error prints a secret", test.name)
		}
	}
}

func TestKeysStringRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,8}`), 1, 5, rapid.ID).Draw(t, "ids")
		var keys Keys
		for _, id := range ids {
			keys = append(keys, newKey(id, rapid.SliceOfN(rapid.Byte(), 32, 64).Draw(t, "secret")))
		}
		parsed, err := ParseKeys("KEYS", keys.Setting())
		if err != nil {
			t.Fatal(err)
		}
		if len(parsed) != len(keys) {
			t.Fatalf("%d keys became %d", len(keys), len(parsed))
		}
		for i := range keys {
			if parsed[i].id != keys[i].id || !bytes.Equal(parsed[i].secret(), keys[i].secret()) {
				t.Fatalf("key %d changed", i+1)
			}
		}
	})
}

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	first, second := mustGenerateKey(t, "demo"), mustGenerateKey(t, "demo")
	if first.ID() != "demo" || len(first.secret()) != 32 || bytes.Equal(first.secret(), second.secret()) {
		t.Error("want 32 random bytes under the id")
	}
	for _, id := range []string{"", "abcdefghi", "A", "a-b", "a:b"} {
		if _, err := GenerateKey(id); err == nil {
			t.Errorf("GenerateKey(%q) gives no error", id)
		}
	}
}

func TestKeyringsRefuseUnusableKeys(t *testing.T) {
	t.Parallel()
	key := mustGenerateKey(t, "k1")
	for name, keys := range map[string]Keys{
		"none": nil, "a zero key": {key, Key{}}, "an id twice": {key, mustGenerateKey(t, "k1")},
	} {
		if keyring, err := NewKeyring(keys); keyring != nil || err == nil {
			t.Errorf("%s: NewKeyring gives no error", name)
		}
		if pseudonyms, err := NewPseudonyms(keys); pseudonyms != nil || err == nil {
			t.Errorf("%s: NewPseudonyms gives no error", name)
		}
	}
}

// Every way of printing that a careless line may use, with keys at every depth.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	secretText := "this secret must never be printed"
	keys := mustParseKeys(t, "k1:"+base64.StdEncoding.EncodeToString([]byte(secretText)))
	keyring := mustKeyring(t, keys...)
	pseudonyms, err := NewPseudonyms(keys)
	if err != nil {
		t.Fatal(err)
	}
	// Used once, so that the pools hold states made from the secret.
	mustSign(t, keyring, knownTicket())

	values := map[string]any{
		"Key": keys[0], "*Key": &keys[0], "Keys": keys, "*Keys": &keys, "[]Key": []Key(keys),
		"Keyring": keyring, "Pseudonyms": pseudonyms,
		"map":        map[string]Keys{"keys": keys},
		"exported":   struct{ Keys Keys }{keys},
		"unexported": struct{ keys Keys }{keys},
		"one":        struct{ key Key }{keys[0]},
		"deep": struct {
			config struct{ keys map[string][]Key }
		}{struct{ keys map[string][]Key }{map[string][]Key{"": keys}}},
		"pointer": struct{ keyring *Keyring }{keyring},
		"error":   errors.Join(fmt.Errorf("with %v", keys)),
	}
	printed := func(t *testing.T, how, text string) {
		t.Helper()
		leaks := []string{
			secretText, fmt.Sprintf("%x", secretText), fmt.Sprintf("%X", secretText),
			fmt.Sprint([]byte(secretText)), strings.Trim(fmt.Sprint([]byte(secretText)), "[]"),
			strings.TrimSuffix(fmt.Sprintf("%#v", []byte(secretText))[len("[]byte{"):], "}"),
			base64.StdEncoding.EncodeToString([]byte(secretText)),
			strings.Trim(fmt.Sprintf("%o", []byte(secretText)), "[]"), strings.Trim(fmt.Sprintf("%b", []byte(secretText)), "[]"),
			strings.Trim(fmt.Sprintf("%c", []byte(secretText)), "[]"), strings.Trim(fmt.Sprintf("%q", []byte(secretText)), "[]"),
			strings.Trim(fmt.Sprintf("%U", []byte(secretText)), "[]"),
		}
		for _, leak := range leaks {
			if strings.Contains(text, leak) {
				t.Errorf("%s prints the secret: %s", how, text)
				return
			}
		}
	}
	for name, value := range values {
		for _, verb := range []string{
			"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%p", "%T", "%w", "%!", "%z", "% x", "%#x",
		} {
			printed(t, name+" by "+verb, fmt.Sprintf(verb, value))
			printed(t, name+" by Errorf "+verb, fmt.Errorf(verb, value).Error())
		}
		printed(t, name+" by Sprint", fmt.Sprint(value))
		printed(t, name+" by Sprintln", fmt.Sprintln(value))

		var text, object bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("starting", "value", value)
		slog.New(slog.NewJSONHandler(&object, nil)).Info("starting", "value", value)
		printed(t, name+" by slog as text", text.String())
		printed(t, name+" by slog as JSON", object.String())
		if encoded, err := json.Marshal(value); err == nil {
			printed(t, name+" by encoding/json", string(encoded))
		}
	}
	for _, text := range []string{
		fmt.Sprintf("%v", keys[0]), fmt.Sprintf("%d", keys[0]), fmt.Sprintf("%x", keys), fmt.Sprintf("%+v", keys), fmt.Sprintf("%#v", keys), fmt.Sprintf("%s", keys),
		keys[0].String(), keys[0].GoString(), keys.GoString(), keys[0].LogValue().String(), keys.LogValue().String(),
	} {
		if text != "k1:REDACTED" {
			t.Errorf("printed as %q, want the id and that the rest is redacted", text)
		}
	}
}
