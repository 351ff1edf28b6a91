package sale

// Clock gives what the sale's clock shows at a log time. It stands still while
// the sale is paused, so that no hold ends then.
func (s *Sale) Clock(at Time) Time {
	shown := at
	for i, pause := range s.Pauses {
		if pause.From >= at {
			break
		}
		lasts := s.Stage == StagePaused && i == len(s.Pauses)-1
		if lasts || pause.To > at {
			shown -= at - pause.From
		} else {
			shown -= pause.To - pause.From
		}
	}
	return shown
}

// when gives the log time at which the sale's clock comes to show a time that
// it has not passed, unless the sale is paused again before. It is false while
// the clock stands.
func (s *Sale) when(shown Time) (Time, bool) {
	if s.Stage == StagePaused {
		return 0, false
	}
	for _, pause := range s.Pauses {
		shown += pause.To - pause.From
	}
	return shown, true
}

// EndOf gives the log time at which the request's hold ends: it counts before
// that time and no longer at it. It is false for a hold that has not begun to
// run or whose sale is paused, and for a request that has none.
func (s *Sale) EndOf(r *Request, starts Starts) (Time, bool) {
	if r.State != Held {
		return 0, false
	}
	start, ok := starts.Of(r.HeldSince)
	if !ok {
		return 0, false
	}
	return s.when(s.Clock(start) + s.holdFor(r))
}

func (s *Sale) holdFor(r *Request) Time {
	if r.HoldFor != 0 {
		return r.HoldFor
	}
	return Time(s.HoldSeconds * 1000)
}
