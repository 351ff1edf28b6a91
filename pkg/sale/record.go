package sale

// Offset is a record's place in its partition. A sale and a request are named
// by the offset of the record that made them.
type Offset int64

// None stands where there is no offset.
const None Offset = -1

// Time is log time: milliseconds since the Unix epoch, UTC.
type Time int64

// Product names what is sold: the key of its records.
type Product string

// Buyer is a buyer's pseudonym. Two requests are of the same buyer if their
// pseudonyms are equal; the log knows nothing else of a person.
type Buyer string

// Schema versions that a record of type schema can raise a partition to.
// A partition starts below the first, where nothing but a schema record acts.
const (
	FirstSchema  = 1
	NewestSchema = 3
)

// schemaRules is the schema that brought sales of the second rules, and the
// records and members that act on them.
const schemaRules = 2

// schemaRetirement is the schema under which sales retire: see retire.go.
const schemaRetirement = 3

// Rules versions that a sale can be created with. A sale keeps its rules for
// ever, so a version stays here as long as a log may hold a sale of it.
const (
	FirstRules  = 1
	NewestRules = 2

	rulesFirst = 1
)

// rulesUnder is the newest rules that a sale can be created with under a schema.
func rulesUnder(schema int) int {
	if schema < schemaRules {
		return rulesFirst
	}
	return NewestRules // no later schema has brought others
}

// Record is one record of the log as the core reads it.
type Record struct {
	Offset  Offset
	Time    Time    // the broker's timestamp
	Product Product // the record's key
	Body    Body    // nil where the value could not be read: the record is malformed
}

// Body is what a record says.
type Body interface{ body() }

// Create opens a sale of the record's product.
type Create struct {
	Rules    int
	Settings Settings
	BuyerKey string // id of the key that all of the sale's pseudonyms are made with
	Actor    string // who did it
	Reason   string // and why

	// Later is true where the record has members that came after FirstSchema.
	Later bool
}

// Buy asks for units of a sale. The record's offset is the request's name.
type Buy struct {
	Sale       Offset
	Buyer      Buyer
	Quantity   int64
	AcceptedAt Time // the ingress's clock; shown, never decided by

	// Lease is the credit that let the request in, or empty; it ends when the
	// request is decided. Nothing is decided by it.
	Lease string
}

// Confirm turns a hold into a sold unit.
type Confirm struct {
	Request          Offset
	PaymentReference string
}

// Extend lets a hold last for at least so long from the record's time on.
type Extend struct {
	Request Offset
	Seconds int64
}

// Return takes a sold unit back, after a refund.
type Return struct {
	Request Offset
}

// Update changes a sale's settings.
type Update struct {
	Sale    Offset
	Version int64 // that the sale is expected to have
	Change  Change
	Actor   string
	Reason  string
}

// Pause keeps a sale from deciding; Resume ends that; Close ends the sale.
type (
	Pause struct {
		Sale          Offset
		Actor, Reason string
	}
	Resume struct {
		Sale          Offset
		Actor, Reason string
	}
	Close struct {
		Sale          Offset
		Actor, Reason string
	}
)

// Release gives a hold, a reserved unit or a place in the waitlist back.
type Release struct {
	Request Offset
	By      Party
}

// Party is who asked for a release.
type Party string

// The parties.
const (
	ByShopper  Party = "shopper"
	ByMerchant Party = "merchant"
)

// Tick lets log time pass. Committed, when above 0, says that every decision
// below that offset can be known to its shopper, and so starts the holds that
// were decided below it.
type Tick struct {
	Committed Offset
}

// Schema raises the partition's schema version.
type Schema struct {
	Version int
}

// Bounds of what a record's fields may hold. A record outside them is
// malformed: whatever the core lets through fits a ledger's row and an answer.
const (
	maxText = 128                 // characters of a pseudonym, a key id or a payment reference
	maxTime = 253_402_300_799_999 // the last millisecond of the year 9999

	// maxLogTime is where log time stops, so that the end of every hold can
	// still be computed and written down.
	maxLogTime = maxTime - MaxHoldSeconds*1000
)

// readable reports whether s is 1 to maxText visible ASCII characters.
func readable(s string) bool { return readableUpTo(s, maxText) }

func readableUpTo(s string, limit int) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// wellFormed reports whether a record says something that can be decided under
// a schema. What came with a later schema says nothing under an earlier one.
func (r *Record) wellFormed(schema int) bool {
	switch body := r.Body.(type) {
	case Tick:
		return body.Committed >= 0 && body.Committed <= r.Offset
	case Schema:
		return body.Version >= FirstSchema
	case Create:
		return ValidProduct(r.Product) && readable(body.BuyerKey) && (!body.Later || schema >= schemaRules)
	case Buy:
		return ValidProduct(r.Product) && readable(string(body.Buyer)) && body.AcceptedAt >= 0 && body.AcceptedAt <= maxTime &&
			(body.Lease == "" || schema >= schemaRules && readable(body.Lease))
	case Confirm:
		return ValidProduct(r.Product) && readable(body.PaymentReference)
	case Release:
		return ValidProduct(r.Product) && (body.By == ByShopper || body.By == ByMerchant)
	case Extend:
		return ValidProduct(r.Product) && schema >= schemaRules && body.Seconds >= 1 && body.Seconds <= MaxHoldSeconds
	case Return, Update, Pause, Resume, Close:
		return ValidProduct(r.Product) && schema >= schemaRules
	}
	return false
}

func (Create) body()  {}
func (Buy) body()     {}
func (Confirm) body() {}
func (Extend) body()  {}
func (Release) body() {}
func (Return) body()  {}
func (Update) body()  {}
func (Pause) body()   {}
func (Resume) body()  {}
func (Close) body()   {}
func (Tick) body()    {}
func (Schema) body()  {}
