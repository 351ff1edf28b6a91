package sale

// Stage is where a sale stands.
type Stage string

// The stages of a sale.
const (
	StageScheduled Stage = "scheduled" // opens by itself, at OpensAt
	StageOpen      Stage = "open"      // decides requests
	StagePaused    Stage = "paused"    // keeps requests for later
	StageClosed    Stage = "closed"    // takes none any more; what is held stays so
)

// ValidProduct reports whether p can name a product: 1 to 64 of a-z 0-9 . _ -,
// starting with a letter or digit.
func ValidProduct(p Product) bool {
	if len(p) < 1 || len(p) > 64 {
		return false
	}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '.' || c == '_' || c == '-') && i > 0:
		default:
			return false
		}
	}
	return true
}

// Sale is the public part of a sale's state. It holds that
// Quantity = Available + Reserved + Held + Confirmed, in units, and that none
// of them is negative.
type Sale struct {
	ID        Offset  `json:"sale"` // offset of its sale.create
	Product   Product `json:"product"`
	Rules     int     `json:"rules"`
	BuyerKey  string  `json:"buyer_key"`
	Settings          // Quantity among them
	Stage     Stage   `json:"stage"`
	CreatedAt Time    `json:"created_at"`

	// Version counts the changes of its settings, from 1.
	Version int64 `json:"version"`
	// Revision is the offset of the last record that changed anything of it.
	Revision Offset `json:"revision"`

	Available int64 `json:"available"`
	Reserved  int64 `json:"reserved"`
	Held      int64 `json:"held"`
	Confirmed int64 `json:"confirmed"`

	// Requests that wait: for a unit, and for the end of a pause.
	Waitlisted int64 `json:"waitlisted,omitzero"`
	Parked     int64 `json:"parked,omitzero"`

	OpenedAt Time `json:"opened_at,omitzero"` // log time; 0 where it has not, or at once
	ClosedAt Time `json:"closed_at,omitzero"`
	// RetiredAt is log time; 0 while the core remembers the sale's requests.
	RetiredAt Time `json:"retired_at,omitzero"`
	// Pauses are all of the sale's; the last one may still run.
	Pauses []Break `json:"pauses,omitempty"`
	// Pace says how many checkout windows may open.
	Pace Pace `json:"pace,omitzero"`

	// How many requests named this sale while it was current, and how many of
	// them were told sold_out or were rejected.
	Requests int64 `json:"requests"`
	SoldOut  int64 `json:"sold_out"`
	Rejected int64 `json:"rejected"`

	// Defaults say what became of a decided request that has no row.
	Defaults []Default `json:"defaults"`
}

// Break is a time in which a sale's clock stands still.
type Break struct {
	From Time `json:"from"`
	To   Time `json:"to,omitzero"` // nothing while it lasts: the last one of a sale that is paused
}

// Pace is a bucket of checkout windows that may open, which fills with log
// time and holds one second's worth at most.
type Pace struct {
	At     Time  `json:"at"`     // when it was counted
	Credit int64 `json:"credit"` // what was in it then, in thousandths
}

// Default is the outcome of every decided request from an offset on that has
// no row, until the next Default.
type Default struct {
	From   Offset `json:"from"`
	State  State  `json:"state"`
	Reason Reason `json:"reason"`
}

// DefaultAt gives the outcome that a decided request of this sale at offset
// has, unless it has a row. It is false for an offset before the sale.
func (s *Sale) DefaultAt(offset Offset) (Default, bool) {
	for i := len(s.Defaults) - 1; i >= 0; i-- {
		if s.Defaults[i].From <= offset {
			return s.Defaults[i], true
		}
	}
	return Default{}, false
}

// SoldOutForGood reports whether no unit is left and none can come back
// before somebody returns one that is paid for.
func (s *Sale) SoldOutForGood() bool { return s.MayYetSell() == 0 }

// MayYetSell is how many units are left or can come back by themselves.
func (s *Sale) MayYetSell() int64 { return s.Available + s.Reserved + s.Held }

// Refuses gives the reason for which a new request for so many units would be
// refused if it were decided now, or "" where it may get a unit or a place. It
// is final where no later try can fare better, but for a refund. A paused sale
// refuses nothing: it keeps requests for later.
func (s *Sale) Refuses(quantity int64) (reason Reason, final bool) {
	switch {
	case s.Stage == StageClosed:
		return ReasonClosed, true
	case s.Stage == StageScheduled:
		return ReasonNotOpen, false
	case s.Stage == StagePaused || quantity <= s.Available:
		return "", false
	case s.SoldOutForGood():
		return ReasonSoldOut, true
	case s.Policy == PolicyWaitlist && quantity <= s.MayYetSell() && s.Waitlisted < s.WaitlistCapacity:
		return "", false
	}
	return ReasonSoldOut, false
}

// Balanced reports whether the units add up.
func (s *Sale) Balanced() bool {
	return s.Available >= 0 && s.Reserved >= 0 && s.Held >= 0 && s.Confirmed >= 0 &&
		s.Quantity == s.Available+s.Reserved+s.Held+s.Confirmed
}
