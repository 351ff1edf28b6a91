package load

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	for follow, kind := range map[Follow]string{FollowPoll: CallPoll, FollowLongPoll: CallLongPoll, FollowWebSocket: CallWebSocket} {
		t.Run(string(follow), func(t *testing.T) {
			t.Parallel()
			s := open(t, &shop{script: func(number int) []heard {
				if number%10 == 0 {
					return []heard{queued(2), queued(1), is(sale.Held)}
				}
				return []heard{queued(2), queued(2), queued(0), is(sale.SoldOut)}
			}})
			phase := s.crowd(40)
			phase.Follow = follow
			got := results(t.Context(), t, phase)[0]
			calls := got.Calls[kind]
			got.Calls = nil // how many polls it takes is the timer's
			counts(t, Result{
				Do: Click, Arrivals: 40, Answered: 40, Succeeded: 40, Accepted: 40, Statuses: map[int]int{202: 40},
				Outcomes: map[sale.State]int{sale.Held: 4, sale.SoldOut: 36},
			}, got)
			if calls < 40 || follow == FollowWebSocket && calls != 40 || got.MostWaiting < 1 || got.MostWaiting > 40 {
				t.Errorf("%d calls, at most %d waited", calls, got.MostWaiting)
			}
			if got.OutcomeMS.P50 < got.AnswerMS.P50 || got.OutcomeMS.Max <= 0 || got.LastOutcomeMS < 0 {
				t.Errorf("times that cannot be: %+v", got)
			}
		})
	}
}

func TestLies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script      []heard
		follow      Follow
		confirmedAs sale.State
		want        Result
	}{
		"a place that moves back": {
			[]heard{queued(2), queued(3), is(sale.SoldOut)}, FollowPoll, "",
			Result{PositionRises: 1, Outcomes: map[sale.State]int{sale.SoldOut: 1}},
		},
		"a place that moves back, by WebSocket": {
			[]heard{queued(2), queued(1), queued(3), is(sale.SoldOut)}, FollowWebSocket, "",
			Result{PositionRises: 1, Outcomes: map[sale.State]int{sale.SoldOut: 1}},
		},
		"held, and after the payment sold out": {
			[]heard{is(sale.Held)}, FollowPoll, sale.SoldOut,
			Result{MultipleOutcomes: 1, Outcomes: map[sale.State]int{sale.SoldOut: 1}},
		},
		"none": {
			[]heard{queued(2), queued(2), is(sale.Held)}, FollowPoll, "",
			Result{Outcomes: map[sale.State]int{sale.Confirmed: 1}},
		},
	} {
		s := open(t, &shop{script: always(c.script...), confirmedAs: c.confirmedAs})
		phase := s.crowd(1)
		phase.Follow, phase.Then, phase.MerchantToken = c.follow, ThenConfirm, "merchant"
		got := results(t.Context(), t, phase)[0]
		got.Calls = nil
		c.want.Do, c.want.Arrivals, c.want.Answered, c.want.Succeeded, c.want.Accepted = Click, 1, 1, 1, 1
		c.want.Statuses = map[int]int{202: 1}
		t.Log(name)
		counts(t, c.want, got)
	}
}

func TestOneInSoManyFollows(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(1), is(sale.SoldOut))})
	phase := s.crowd(40)
	phase.Follow, phase.FollowEvery = FollowWebSocket, 10
	got := results(t.Context(), t, phase)[0]
	counts(t, Result{
		Do: Click, Arrivals: 40, Answered: 40, Succeeded: 40, Accepted: 40, Statuses: map[int]int{202: 40},
		Outcomes: map[sale.State]int{sale.Queued: 36, sale.SoldOut: 4}, Calls: map[string]int{CallWebSocket: 4},
	}, got)
}

func TestThen(t *testing.T) {
	t.Parallel()
	winners := func(number int) []heard {
		if number < 3 {
			return []heard{queued(1), is(sale.Held)}
		}
		return []heard{queued(1), is(sale.SoldOut)}
	}
	for name, c := range map[string]struct {
		follow Follow
		then   Then
		script func(int) []heard
		want   map[sale.State]int
		call   string
	}{
		"confirm, by polls":        {FollowPoll, ThenConfirm, winners, map[sale.State]int{sale.Confirmed: 3, sale.SoldOut: 7}, CallConfirm},
		"confirm, by long polls":   {FollowLongPoll, ThenConfirm, winners, map[sale.State]int{sale.Confirmed: 3, sale.SoldOut: 7}, CallConfirm},
		"abandon, by WebSockets":   {FollowWebSocket, ThenAbandon, winners, map[sale.State]int{sale.Released: 3, sale.SoldOut: 7}, CallAbandon},
		"confirm, told at a click": {FollowNone, ThenConfirm, always(is(sale.Held)), map[sale.State]int{sale.Confirmed: 10}, CallConfirm},
	} {
		s := open(t, &shop{script: c.script})
		phase := s.crowd(10)
		phase.Follow, phase.Then, phase.MerchantToken = c.follow, c.then, "merchant"
		got := results(t.Context(), t, phase)[0]
		acted := c.want[sale.Confirmed] + c.want[sale.Released]
		if !maps.Equal(got.Outcomes, c.want) || got.Calls[c.call] != acted || got.FailedCalls > 0 || got.Undecided > 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if c.then == ThenConfirm && s.counted("Bearer merchant") != acted {
			t.Errorf("%s: %d confirmations with the merchant's token, want %d", name, s.counted("Bearer merchant"), acted)
		}
	}
}

func TestWithoutAPlaceTheyPoll(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(9), queued(8), queued(7), is(sale.SoldOut))})
	phase := s.crowd(30)
	phase.Follow, phase.Followers, phase.Arrivals = FollowWebSocket, 1, Arrivals{Kind: Burst}
	got := results(t.Context(), t, phase)[0]
	if got.Outcomes[sale.SoldOut] != 30 || got.Calls[CallWebSocket]+got.Calls[CallPoll] < 30 || got.Calls[CallWebSocket] == 0 {
		t.Errorf("%+v", got)
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	for _, follow := range []Follow{FollowPoll, FollowLongPoll, FollowWebSocket} {
		s := open(t, &shop{script: always(queued(9), queued(8))})
		phase := s.crowd(5)
		phase.Follow, phase.Patience = follow, 50*time.Millisecond
		got := results(t.Context(), t, phase)[0]
		if got.Undecided != 5 || got.Outcomes[sale.Queued] != 5 || got.FailedCalls > 0 {
			t.Errorf("%s: %+v, want 5 who give up", follow, got)
		}
	}
}

func TestKeptTickets(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: func(number int) []heard {
		if number < 10 {
			return []heard{queued(1), is(sale.Held)}
		}
		return []heard{queued(1), queued(0), is(sale.Waitlisted)}
	}})
	click := s.crowd(40)
	click.Follow, click.Keep = FollowPoll, 30
	call := Phase{Addresses: click.Addresses, Connections: 3, MerchantToken: "merchant"}
	poll, confirm, stream := call, call, call
	poll.Do, poll.Requests = Poll, 100
	confirm.Do = Confirm
	stream.Do, stream.Streams = Stream, 60
	got := results(t.Context(), t, click, poll, confirm, stream, Phase{Do: CloseStreams}, Phase{Do: Forget})

	if got[0].Kept != 30 {
		t.Errorf("%d tickets are kept, want 30", got[0].Kept)
	}
	counts(t, Result{
		Do: Poll, Arrivals: 100, Answered: 100, Succeeded: 100, Statuses: map[int]int{200: 100}, Kept: 30,
	}, got[1])
	held := s.counted(string(sale.Confirmed))
	if held == 0 || held > 10 {
		t.Errorf("%d holds were confirmed, want some of 10", held)
	}
	counts(t, Result{
		Do: Confirm, Arrivals: held, Answered: held, Succeeded: held, Statuses: map[int]int{200: held}, Kept: 30,
	}, got[2])
	if got[3].Streams != 60 || got[3].Answered != 60 || got[3].Statuses[101] != 60 || got[3].Broken != 0 {
		t.Errorf("streams: %+v, want 60", got[3])
	}
	if got[4].Streams != 60 || got[4].Messages == 0 || got[4].Messages > 60 || got[4].Broken != 0 {
		t.Errorf("closing them: %+v", got[4])
	}
	if got[5].Kept != 0 {
		t.Errorf("%d tickets are kept after all", got[5].Kept)
	}
}

func TestStreamsAnswerPings(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(1))})
	click := s.crowd(1)
	click.Keep = 1
	stream := Phase{Do: Stream, Addresses: click.Addresses, Connections: 1, Streams: 1}
	// Clicks at a distance give the server time to ping.
	meanwhile := s.crowd(30)
	meanwhile.Arrivals, meanwhile.Crowd = Arrivals{Kind: Constant, Rate: 100}, "others"
	got := results(t.Context(), t, click, stream, meanwhile, Phase{Do: CloseStreams})
	if got[2].Streams != 1 || got[3].Streams != 1 || got[3].Messages != 1 || s.counted("pong") < 3 {
		t.Errorf("%+v, with %d pongs", got[3], s.counted("pong"))
	}
}

func TestStreamsThatEnd(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(queued(1), is(sale.Held), is(sale.Confirmed), is(sale.Returned))})
	click := s.crowd(1)
	click.Keep = 1
	stream := Phase{Do: Stream, Addresses: click.Addresses, Connections: 1, Streams: 1}
	meanwhile := s.crowd(30)
	meanwhile.Arrivals, meanwhile.Crowd = Arrivals{Kind: Constant, Rate: 100}, "others"
	got := results(t.Context(), t, click, stream, meanwhile)
	if got[2].Streams != 0 || got[2].Messages != 3 || got[2].Broken != 0 {
		t.Errorf("%+v, want a stream that has ended in order", got[2])
	}
}

func TestNothingKept(t *testing.T) {
	t.Parallel()
	s := open(t, &shop{script: always(is(sale.SoldOut))})
	click := s.crowd(1)
	click.Keep = 1
	call := Phase{Addresses: click.Addresses, Connections: 1, Requests: 1, Streams: 1, MerchantToken: "merchant"}
	poll, confirm, stream := call, call, call
	poll.Do, confirm.Do, stream.Do = Poll, Confirm, Stream
	for i, l := range run(t.Context(), t, poll, stream, confirm, click, confirm) {
		want := []string{errNoTickets.Error(), errNoTickets.Error(), errNoHolds.Error(), "", errNoHolds.Error()}[i]
		if (l.Result == nil) != (want != "") || !strings.Contains(l.Error, want) {
			t.Errorf("phase %d: %+v, want %q", i, l, want)
		}
	}
}

// TestFollowersHaveTheirConnections: those who poll have as many as are asked
// for, and those who wait have places, and few pollers beside.
func TestFollowersHaveTheirConnections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		follow                     Follow
		followers, pollers, places int
	}{
		{FollowPoll, 5000, 5000, 0},
		{FollowPoll, 0, 1000, 0},
		{FollowLongPoll, 5000, overflowPollers, 5000},
		{FollowWebSocket, 0, overflowPollers, DefaultFollowers},
		{FollowNone, 5000, 1000, 0},
	} {
		f := newFollowers(&phaseRun{phase: Phase{Connections: 1000, Follow: c.follow, Followers: c.followers}})
		if len(f.pollers) != c.pollers || cap(f.places) != c.places {
			t.Errorf("%s, %d followers: %d pollers and %d places, want %d and %d", c.follow, c.followers, len(f.pollers), cap(f.places), c.pollers, c.places)
		}
	}
}
