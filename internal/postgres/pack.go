package postgres

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Below this, in bytes, compression saves no page.
const packedFrom = 2 << 10

// packager compresses what waits to be published: it is text that repeats
// itself, and what is written of it is written to the journal, too. Its methods
// may be called from several goroutines.
type packager struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newPackager() (*packager, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("preparing compression: %w", err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		return nil, fmt.Errorf("preparing decompression: %w", err)
	}
	return &packager{encoder: encoder, decoder: decoder}, nil
}

// frameMagic begins what is compressed, and no line of decisions.
func frameMagic() []byte { return []byte{0x28, 0xb5, 0x2f, 0xfd} }

func (p *packager) pack(text []byte) []byte {
	if !isLarge(text) {
		return text
	}
	return p.encoder.EncodeAll(text, nil)
}

// isLarge reports whether a text is worth to be packed beside what else there is
// to do.
func isLarge(text []byte) bool { return len(text) >= packedFrom }

// packing begins to pack a text, in a goroutine of its own, and gives what waits
// for it. The caller does not leave before it has waited.
func (p *packager) packing(text []byte) (wait func() []byte) {
	var packed []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		packed = p.pack(text)
	}()
	return func() []byte {
		<-done
		return packed
	}
}

func (p *packager) unpack(packed []byte) ([]byte, error) {
	if !bytes.HasPrefix(packed, frameMagic()) {
		return packed, nil
	}
	text, err := p.decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompressing decisions: %w", err)
	}
	return text, nil
}
