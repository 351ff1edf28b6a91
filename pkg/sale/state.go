package sale

// saleState is a sale with what the core needs to decide about it.
type saleState struct {
	Sale
	buyers   map[Buyer]*buyerState
	waitlist line            // of those that wait for a unit, in the order of the log
	parked   line            // of those that a pause keeps, in the order of the log
	turns    turns           // of those whose checkout window is to open
	holds    map[Offset]bool // requests that hold
	kept     []Offset        // of every request of it that the partition remembers, and of some that it has dropped
	changes  *Changes        // the batch that has noted it as changed
}

func newSaleState(s Sale) *saleState {
	return &saleState{Sale: s, buyers: make(map[Buyer]*buyerState), holds: make(map[Offset]bool)}
}

// buyerState is what a buyer has in a sale.
type buyerState struct {
	live      Offset // the live request, or None
	confirmed int64  // units
}

func (s *saleState) buyer(b Buyer) *buyerState {
	of := s.buyers[b]
	if of == nil {
		of = &buyerState{live: None}
		s.buyers[b] = of
	}
	return of
}

// forget drops what is known of a buyer that has nothing.
func (s *saleState) forget(b Buyer) {
	if of := s.buyers[b]; of != nil && of.live == None && of.confirmed == 0 {
		delete(s.buyers, b)
	}
}
