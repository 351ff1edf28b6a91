package whatif

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Comparison is how a sale was, and how it would have been with other settings.
type Comparison struct {
	Sale     string       `json:"sale"`
	Product  sale.Product `json:"product"`
	Requests int64        `json:"requests"` // that named the sale
	Was      Outcome      `json:"was"`
	Would    Outcome      `json:"would"`

	// Parts is the offset of the first record that is decided otherwise; nil
	// where none is.
	Parts      *sale.Offset  `json:"parts,omitzero"`
	Otherwise  int64         `json:"otherwise"`          // requests that end otherwise
	First      []Difference  `json:"first"`              // the first of them, by their offsets
	Commands   int64         `json:"commands_otherwise"` // commands that have another result
	OnlyWould  int64         `json:"held_only_would"`    // requests that were given units only with the other settings
	Unpaid     int64         `json:"confirmations_lost"` // confirmations that would have been refused
	Notes      []string      `json:"notes,omitempty"`    // about the settings
	CannotKnow []string      `json:"cannot_know"`        // what the log cannot tell
	Until      sale.Offset   `json:"known_until"`        // the first record that was not looked at
	Now        event.Instant `json:"log_time"`           // of the last one that was
}

// Outcome is what a sale has come to.
type Outcome struct {
	Rules       int           `json:"rules"`
	CreatedWith sale.Settings `json:"created_with"`
	Stage       sale.Stage    `json:"stage"`
	Quantity    int64         `json:"quantity"` // units, as those that follow
	Available   int64         `json:"available"`
	Reserved    int64         `json:"reserved"`
	Held        int64         `json:"held"`
	Confirmed   int64         `json:"confirmed"`
	FillRate    float64       `json:"fill_rate"` // confirmed of the quantity
	Counts      []Count       `json:"counts"`
	Granted     int64         `json:"granted"` // requests that were given units, whatever became of them
	Waits       Waits         `json:"waits"`
}

// Count is how many requests came to an end, or stand where they do.
type Count struct {
	State    sale.State  `json:"state"`
	Reason   sale.Reason `json:"reason,omitzero"`
	Requests int64       `json:"requests"`
}

// Waits are the times from a request's record to its units, of those that did
// not get them at once.
type Waits struct {
	Requests int64     `json:"requests"`
	Total    sale.Time `json:"total_ms"`
	Longest  sale.Time `json:"longest_ms"`
}

// Mean gives the mean in ms.
func (w *Waits) Mean() sale.Time { return w.Total / sale.Time(max(1, w.Requests)) }

// Difference is a request that ends otherwise.
type Difference struct {
	Request string `json:"request"`
	Was     End    `json:"was"`
	Would   End    `json:"would"`

	offset sale.Offset
}

// End is what a request has come to.
type End struct {
	State  sale.State  `json:"state"`
	Reason sale.Reason `json:"reason,omitzero"`
}

// String gives the state, with the reason where it says more.
func (e End) String() string {
	if e.Reason == "" || string(e.Reason) == string(e.State) {
		return string(e.State)
	}
	return string(e.State) + " (" + string(e.Reason) + ")"
}

// maxDifferences bounds the requests that a comparison lists.
const maxDifferences = 10

// list notes a request that ends otherwise.
func (c *Comparison) list(d Difference) {
	c.Otherwise++
	i, _ := slices.BinarySearchFunc(c.First, d, func(a, b Difference) int { return cmp.Compare(a.offset, b.offset) })
	if i < maxDifferences {
		c.First = slices.Insert(c.First, i, d)
		c.First = c.First[:min(len(c.First), maxDifferences)]
	}
}

func (o *Outcome) begin(created sale.Create) {
	o.Rules, o.CreatedWith = created.Rules, created.Settings
}

// take notes the sale as it is now, if it is among those that were changed.
func (o *Outcome) take(id sale.Offset, changed []sale.Sale) {
	for i := range changed {
		if s := &changed[i]; s.ID == id {
			o.Stage, o.Quantity, o.Available, o.Reserved, o.Held, o.Confirmed = s.Stage, s.Quantity, s.Available, s.Reserved, s.Held, s.Confirmed
			o.FillRate = float64(s.Confirmed) / float64(s.Quantity)
		}
	}
}

// count notes what a request has come to.
func (o *Outcome) count(end End) {
	i, found := slices.BinarySearchFunc(o.Counts, end, func(c Count, end End) int {
		return cmp.Or(cmp.Compare(c.State, end.State), cmp.Compare(c.Reason, end.Reason))
	})
	if !found {
		o.Counts = slices.Insert(o.Counts, i, Count{State: end.State, Reason: end.Reason})
	}
	o.Counts[i].Requests++
}
