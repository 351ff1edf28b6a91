package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

// reportRatio gives the measured time as a multiple of one HMAC over as many
// bytes that is set up anew, which is the least that a call costs without a pool.
func reportRatio(b *testing.B, payload []byte) {
	b.Helper()
	b.ReportAllocs()
	measured := b.Elapsed()
	secret := make([]byte, minSecretLength)
	start := time.Now()
	for range b.N {
		mac := hmac.New(sha256.New, secret)
		mac.Write(payload)
		mac.Sum(nil)
	}
	b.ReportMetric(float64(measured)/float64(time.Since(start)), "x-plain-hmac")
}

func BenchmarkSign(b *testing.B) {
	keyring := mustKeyring(b, mustGenerateKey(b, "k1"))
	ticket := knownTicket()
	for b.Loop() {
		if _, err := keyring.Sign(ticket); err != nil {
			b.Fatal(err)
		}
	}
	reportRatio(b, appendPayload(nil, "k1", ticket))
}

func BenchmarkVerify(b *testing.B) {
	keyring := mustKeyring(b, mustGenerateKey(b, "k1"))
	text := mustSign(b, keyring, knownTicket())
	for b.Loop() {
		if _, err := keyring.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
	reportRatio(b, appendPayload(nil, "k1", knownTicket()))
}

func BenchmarkVerifyForged(b *testing.B) {
	keyring := mustKeyring(b, mustGenerateKey(b, "k1"))
	text := mustSign(b, mustKeyring(b, mustGenerateKey(b, "k1")), knownTicket())
	for b.Loop() {
		if _, err := keyring.Verify(text); !errors.Is(err, ErrInvalid) {
			b.Fatal(err)
		}
	}
	reportRatio(b, appendPayload(nil, "k1", knownTicket()))
}

func BenchmarkMark(b *testing.B) {
	keyring := mustKeyring(b, mustGenerateKey(b, "k1"))
	text := mustSign(b, keyring, knownTicket())
	for b.Loop() {
		if _, ok := keyring.ReadMark(text, keyring.Mark(text, 123456)); !ok {
			b.Fatal("the mark is not read")
		}
	}
	reportRatio(b, []byte(text))
}

func BenchmarkPseudonym(b *testing.B) {
	pseudonyms := mustPseudonyms(b, mustGenerateKey(b, "k1"))
	for b.Loop() {
		if _, err := pseudonyms.Of("k1", LogID{}, 3, 42, "buyer-7"); err != nil {
			b.Fatal(err)
		}
	}
	reportRatio(b, make([]byte, 8+4+8+1+7))
}
