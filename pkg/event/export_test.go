package event

// The two ways to read a record, and that which writes any, each by itself.
var (
	Canonical = canonical
	Strict    = strict
	EncodeAny = encode
)
