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
// may be called from several goroutines, and start none.
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
	if len(text) < packedFrom {
		return text
	}
	return p.encoder.EncodeAll(text, nil)
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
