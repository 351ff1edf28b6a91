package event

// The two ways to read a record, each by itself.
var (
	Canonical = canonical
	Strict    = strict
)
