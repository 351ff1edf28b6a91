package load

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Work is what a phase does.
type Work string

// The kinds of work.
const (
	Click        Work = "click"         // buyers press Buy, and follow their request
	Poll         Work = "poll"          // kept tickets are asked for, without waiting in between
	Confirm      Work = "confirm"       // holds among the kept tickets are confirmed
	Stream       Work = "stream"        // WebSockets are opened on kept tickets, and stay open
	CloseStreams Work = "close_streams" // they are closed
	Forget       Work = "forget"        // kept tickets are dropped
)

// ArrivalKind says when clicks or polls come.
type ArrivalKind string

// The kinds of arrivals. All but Closed are open loops: they come when they
// come, whatever has become of the ones before.
const (
	Closed   ArrivalKind = "closed"   // as soon as a connection has its answer
	Constant ArrivalKind = "constant" // at equal distances
	Poisson  ArrivalKind = "poisson"  // at random, independently of each other
	Ramp     ArrivalKind = "ramp"     // evenly from one rate to another
	Burst    ArrivalKind = "burst"    // all at once
)

// Follow is how a buyer learns the outcome.
type Follow string

// The ways to follow. A decided answer to the click needs none.
const (
	FollowNone      Follow = "none"
	FollowPoll      Follow = "poll"      // when poll_after_ms says so, with If-None-Match
	FollowLongPoll  Follow = "long_poll" // GET ?wait=20s, with If-None-Match
	FollowWebSocket Follow = "websocket"
)

// Then is what a buyer who holds a unit does.
type Then string

// What winners do. Both need Follow, or a service that decides at the click.
const (
	ThenNone    Then = "none"
	ThenConfirm Then = "confirm" // the shop confirms, which needs Phase.MerchantToken
	ThenAbandon Then = "abandon" // the buyer gives the unit back
)

// Arrivals is a schedule.
type Arrivals struct {
	Kind   ArrivalKind   `json:"kind"`
	Rate   float64       `json:"rate,omitempty"`    // per second; a ramp's first
	ToRate float64       `json:"to_rate,omitempty"` // a ramp's last
	For    time.Duration `json:"for,omitempty"`     // how long they come; 0: until there are as many as wanted
}

// Phase is one piece of work. Durations are nanoseconds in its JSON, which is
// meant for nobody but a [Driver].
type Phase struct {
	Do Work `json:"do"`

	// For every work that makes calls.
	Addresses   []string      `json:"addresses,omitempty"` // host:port; connections spread over them evenly
	Connections int           `json:"connections,omitempty"`
	CallTimeout time.Duration `json:"call_timeout,omitempty"` // 0: DefaultCallTimeout

	// Click: buyer number n, from 0, is named "<crowd>-<n>". Where there are
	// Products instead of a Product the buyers take them in turn.
	Product  string   `json:"product,omitempty"`
	Products []string `json:"products,omitempty"`
	Crowd    string   `json:"crowd,omitempty"`
	Buyers   int      `json:"buyers,omitempty"`   // how many; 0: as many as arrive in Arrivals.For
	Quantity int      `json:"quantity,omitempty"` // units; 0: one, asked for with an empty body
	Arrivals Arrivals `json:"arrivals,omitzero"`  // of clicks or polls; without a kind: Closed
	Follow   Follow   `json:"follow,omitempty"`   // "": FollowNone
	// FollowEvery lets only one buyer in so many follow, and do Then, so that
	// outcomes are seen without following being what is measured. 0: all.
	FollowEvery int           `json:"follow_every,omitempty"`
	Then        Then          `json:"then,omitempty"`     // "": ThenNone
	Patience    time.Duration `json:"patience,omitempty"` // from the click until its buyer gives up; 0: DefaultPatience
	// Followers bounds the connections on which requests are followed, beside
	// those of the clicks. Long polls and WebSockets take one for each buyer
	// who waits; who finds none free polls. 0: as many as Connections for
	// polls, DefaultFollowers for the others.
	Followers int `json:"followers,omitempty"`
	// Keep is how many tickets are remembered for later phases, beside those
	// that are remembered already.
	Keep int `json:"keep,omitempty"`

	MerchantToken string `json:"merchant_token,omitempty"` // for confirmations

	// Requests is how many calls Poll makes (0: as many as arrive in
	// Arrivals.For), and Confirm at most (0: one for every hold).
	Requests int `json:"requests,omitempty"`
	// Streams is how many WebSockets Stream opens, over the kept tickets in
	// turn. Connections of them are being opened at once.
	Streams int `json:"streams,omitempty"`
}

// What is used where a phase does not say.
const (
	DefaultCallTimeout = 10 * time.Second
	DefaultPatience    = time.Minute
	DefaultFollowers   = 10_000
)

const mostPoisson = 20_000_000 // arrivals, of eight bytes each

// Validate reports the first thing that cannot be.
func (p Phase) Validate() error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("load: phase %q: %w", p.Do, err)
	}
	return nil
}

func (p Phase) validate() error {
	switch p.Do {
	case CloseStreams, Forget:
		return nil
	case Click:
		return errors.Join(p.validateCalls(), p.validateClicks())
	case Poll:
		return errors.Join(p.validateCalls(), p.Arrivals.validate(p.Requests, "requests"))
	case Confirm:
		if p.MerchantToken == "" {
			return errors.Join(p.validateCalls(), errors.New("no merchant token to confirm with"))
		}
		return p.validateCalls()
	case Stream:
		if p.Streams < 1 {
			return errors.Join(p.validateCalls(), fmt.Errorf("%d streams, at least 1", p.Streams))
		}
		return p.validateCalls()
	}
	return errors.New("there is no such work")
}

func (p Phase) validateCalls() error {
	if len(p.Addresses) == 0 {
		return errors.New("no address")
	}
	for _, address := range p.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("address %q is not host:port", address)
		}
	}
	switch {
	case p.Connections < 1:
		return fmt.Errorf("%d connections, at least 1", p.Connections)
	case p.CallTimeout < 0:
		return fmt.Errorf("a call's timeout of %v", p.CallTimeout)
	case p.Requests < 0:
		return fmt.Errorf("%d requests", p.Requests)
	}
	return nil
}

func (p Phase) validateClicks() error {
	switch {
	case p.Product == "" && len(p.Products) == 0:
		return errors.New("no product")
	case p.Product != "" && len(p.Products) > 0:
		return errors.New("both a product and a list of them")
	case p.Crowd == "":
		return errors.New("the crowd has no name")
	case !visible(p.Product) || !visible(p.Crowd) || !visible(strings.Join(p.Products, "")) || slices.Contains(p.Products, ""):
		return errors.New("product and crowd must be of visible ASCII characters, without / ? # %")
	case p.Buyers < 0 || p.Quantity < 0 || p.Followers < 0 || p.Keep < 0 || p.Patience < 0 || p.FollowEvery < 0:
		return errors.New("a number below 0")
	}
	switch p.Follow {
	case "", FollowNone, FollowPoll, FollowLongPoll, FollowWebSocket:
	default:
		return fmt.Errorf("there is no way to follow named %q", p.Follow)
	}
	switch p.Then {
	case "", ThenNone, ThenAbandon:
	case ThenConfirm:
		if p.MerchantToken == "" {
			return errors.New("no merchant token to confirm with")
		}
	default:
		return fmt.Errorf("winners cannot do %q", p.Then)
	}
	return p.Arrivals.validate(p.Buyers, "buyers")
}

// validate takes how many are to arrive at most, 0 for no bound.
func (a Arrivals) validate(most int, what string) error {
	if a.Rate < 0 || a.ToRate < 0 || a.For < 0 {
		return errors.New("arrivals with a number below 0")
	}
	if most == 0 && a.For == 0 {
		return fmt.Errorf("arrivals without an end: neither a number of %s nor a duration", what)
	}
	switch a.Kind {
	case "", Closed:
		return nil
	case Burst:
		if most == 0 {
			return fmt.Errorf("a burst without a number of %s", what)
		}
		return nil
	case Constant, Poisson:
		if a.Rate == 0 {
			return fmt.Errorf("%s arrivals without a rate", a.Kind)
		}
		// A schedule at random is made beforehand.
		if a.Kind == Poisson && most == 0 && a.Rate*a.For.Seconds() > mostPoisson || a.Kind == Poisson && most > mostPoisson {
			return fmt.Errorf("more than %d poisson arrivals", mostPoisson)
		}
		return nil
	case Ramp:
		if a.For == 0 || a.Rate+a.ToRate == 0 {
			return errors.New("a ramp needs rates and a duration")
		}
		return nil
	}
	return fmt.Errorf("there are no arrivals named %q", a.Kind)
}

// visible reports whether a text can stand in a path and in a header as it is.
func visible(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '?' || c == '#' || c == '%' {
			return false
		}
	}
	return true
}
