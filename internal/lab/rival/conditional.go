package rival

import "context"

// conditional leaves the decision to one statement.
type conditional struct {
	database *database
}

func newConditional(ctx context.Context, _ Config, d *database, _ *stockCache) (seller, error) {
	return &conditional{database: d}, d.prepare(ctx, takeAvailable)
}

func (s *conditional) take(ctx context.Context, buyer string) (hold, outcome, error) {
	h, o, err := s.database.ask(ctx, takeAvailable, theSale, buyer)
	if again(o, err) { // a newer snapshot knows
		h, o, err = s.database.ask(ctx, takeAvailable, theSale, buyer)
	}
	if again(o, err) {
		return hold{}, "", errBusy
	}
	return h, o, err
}

func (s *conditional) settings() []Setting {
	return []Setting{
		{"round trips", "1"},
		{"retries", "1, for those who waited for the row and found it sold out, and for double clicks"},
		{"statement", oneLine(takeAvailable)},
	}
}

func (s *conditional) close() {}
