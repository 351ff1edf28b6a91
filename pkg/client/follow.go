package client

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Times of following.
const (
	dialWait      = 10 * time.Second
	silence       = 45 * time.Second // after which a stream is dead; the service pings it every 15 s
	comeBack      = 2 * time.Second  // in which those whose stream has broken come back
	steady        = 30 * time.Second // after which a stream that breaks was a good one
	shortestRest  = 5 * time.Second  // without a stream, where none is to be had
	longestRest   = 2 * time.Minute
	waitMoving    = "5s"  // of a poll while a place is shown, which ends no wait
	waitStanding  = "20s" // of any other poll
	shortestSleep = 250 * time.Millisecond
	longestSleep  = time.Minute // between two polls
)

// Follow gives a request's status now, and again on every change of it: its
// state, its place, the end of its hold. It ends after a final state, and goes
// on after every other one; the state confirmed is not final, since a refund
// may follow.
//
// It reads a WebSocket. While none can be had it polls, as often as the service
// wants it to. A connection that breaks, a server that drains and a service
// that cannot tell are no errors: it comes back, says what it has seen, and
// goes on. A place never rises while the state stays, and what a server that is
// behind the others says is left out.
//
// An error is the last that it gives: the context has ended, the ticket is
// refused (HasCode(err, "unknown_ticket")), or nothing could be heard for
// [Config.Patience].
func (c *Client) Follow(ctx context.Context, ticket string) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		f := &follower{client: c, ticket: ticket, yield: yield, patience: c.newPatience()}
		f.run(ctx)
	}
}

// WaitFor follows a request until enough is true of its status, and gives that
// status; or its final one, after which nothing more comes. With an error it
// gives the last status that was heard.
func (c *Client) WaitFor(ctx context.Context, ticket string, enough func(Status) bool) (Status, error) {
	var last Status
	for status, err := range c.Follow(ctx, ticket) {
		if err != nil {
			return last, err
		}
		last = status
		if enough(status) {
			break
		}
	}
	return last, nil
}

// Wait follows a request until it is settled ([Status.Settled]): the checkout
// window is open, or there is nothing to hope for. The state says which.
func (c *Client) Wait(ctx context.Context, ticket string) (Status, error) {
	return c.WaitFor(ctx, ticket, Status.Settled)
}

// follower is one that follows a request. It is used by one goroutine.
type follower struct {
	client   *Client
	ticket   string
	yield    func(Status, error) bool
	over     bool // nothing more is to be given
	patience *patience

	memory   memory
	marker   string    // what was seen last, in the service's words
	failures int       // of streams, in a row
	restTo   time.Time // when to try again for a stream
	hasty    bool      // the next poll does not wait for a change
}

func (f *follower) run(ctx context.Context) {
	for {
		var err error
		if time.Now().Before(f.restTo) {
			err = f.poll(ctx)
		} else {
			err = f.stream(ctx)
		}
		if err != nil && !f.over {
			if _, again := repeatable(err); again {
				err = f.patience.pause(ctx, err)
			}
		}
		switch {
		case f.over:
			return
		case ctx.Err() != nil:
			f.yield(Status{}, ctx.Err())
			return
		case err != nil:
			f.yield(Status{}, err)
			return
		}
	}
}

// heard notes that the service is there.
func (f *follower) heard() { f.patience = f.client.newPatience() }

// tell gives a status on, where it is news.
func (f *follower) tell(status Status) {
	f.heard()
	status, isNews := f.memory.take(status)
	if isNews && !f.yield(status, nil) {
		f.over = true
	}
	if isNews {
		f.heard() // the time that the caller took is not the service's
	}
	f.over = f.over || f.memory.last.State.Final()
}

// withoutStream has the follower poll for a while, longer each time.
func (f *follower) withoutStream() {
	rest := min(shortestRest<<min(f.failures, 10), longestRest)
	f.restTo = time.Now().Add(rest/2 + rand.N(rest/2))
}

// poll asks once: at once where nothing is known, else when the service wants
// it, and then only for what is new.
func (f *follower) poll(ctx context.Context) error {
	k := &call{method: http.MethodGet, path: []string{"queue", f.ticket}}
	if f.memory.last.ID != "" {
		sleep := time.Duration(f.memory.last.PollAfterMS) * time.Millisecond
		if err := wait(ctx, min(max(sleep, shortestSleep), longestSleep)); err != nil {
			return err
		}
	}
	if f.marker != "" {
		k.header = http.Header{"If-None-Match": {`W/"` + f.marker + `"`}}
		switch {
		case f.hasty:
		case f.memory.last.Position != nil:
			k.query = url.Values{"wait": {waitMoving}}
		default:
			k.query = url.Values{"wait": {waitStanding}}
		}
	}
	status, a, err := once[Status](ctx, f.client, k)
	// A service that has no room for those who wait may still answer.
	f.hasty = err != nil && !f.hasty
	switch {
	case err != nil:
		return err
	case a.status == http.StatusNotModified:
		f.heard()
		return nil
	case status.ID == "":
		return errors.New("the answer is no status of a request")
	}
	f.marker = strings.Trim(strings.TrimPrefix(a.header.Get("ETag"), "W/"), `"`)
	f.tell(status)
	return nil
}
