package sale

// saleState is a sale with what the core needs to decide about it.
type saleState struct {
	Sale
	buyers   map[Buyer]buyerState // those that have something
	waitlist line                 // of those that wait for a unit, in the order of the log
	parked   line                 // of those that a pause keeps, in the order of the log
	turns    turns                // of those whose checkout window is to open
	holding  int64                // requests that hold
	kept     []Offset             // of every request of it that the partition remembers, and of some that it has dropped
	changes  *Changes             // the batch that has noted it as changed
}

func newSaleState(s Sale) *saleState {
	return &saleState{Sale: s, buyers: make(map[Buyer]buyerState)}
}

// buyerState is what a buyer has in a sale.
type buyerState struct {
	live      Offset // the live request, or None
	confirmed int64  // units
}

// buyer gives what a buyer has: nothing, where the sale does not know them.
func (s *saleState) buyer(b Buyer) buyerState {
	if of, known := s.buyers[b]; known {
		return of
	}
	return buyerState{live: None}
}

// setBuyer remembers what a buyer has, and forgets one that has nothing.
func (s *saleState) setBuyer(b Buyer, has buyerState) {
	if has.live == None && has.confirmed == 0 {
		delete(s.buyers, b)
		return
	}
	s.buyers[b] = has
}
