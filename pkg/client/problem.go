package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Errors that callers tell apart with errors.Is. For the refusals of the
// service see [Problem] and [HasCode].
var (
	// ErrUnknown is in an error after which nobody knows what became of the
	// call: no answer, half of one, or one that says that the service cannot
	// tell (5xx). Calls of shoppers and merchants are safe to repeat then.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrUndecided is in an error after which a command is in the log, and so is
	// sure to be decided, and was not in time.
	ErrUndecided = errors.New("the command is not decided yet")
)

// Problem is an answer other than success (RFC 9457).
type Problem struct {
	Status int    `json:"status"` // of HTTP
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // stable, for programs; empty where it is not the service that answered
	// RetryAfter is how long to wait before asking again; 0 where waiting is
	// not said to help.
	RetryAfter time.Duration `json:"-"`
	// OpensAt comes with the code not_open, where the time is set.
	OpensAt time.Time `json:"opens_at,omitzero"`
}

// Error gives the problem in words.
func (p *Problem) Error() string {
	switch {
	case p.Detail != "":
		return fmt.Sprintf("%s (%d %s)", p.Detail, p.Status, p.Code)
	case p.Title != "":
		return fmt.Sprintf("%s (%d %s)", p.Title, p.Status, p.Code)
	default:
		return fmt.Sprintf("the service answered %d %s", p.Status, http.StatusText(p.Status))
	}
}

// Is makes ErrUnknown of the answers that say so.
func (p *Problem) Is(target error) bool {
	return target == ErrUnknown && p.Status >= http.StatusInternalServerError
}

// HasCode reports whether err is a Problem with the code.
func HasCode(err error, code string) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == code
}

// unheard is what happened where no whole answer came.
type unheard struct {
	doing string
	cause error
}

func (u *unheard) Error() string   { return u.doing + ": " + u.cause.Error() }
func (u *unheard) Unwrap() []error { return []error{u.cause, ErrUnknown} }

// withoutURL takes the URL out of an error of net/http: tickets are part of it.
func withoutURL(err error) error {
	var about *url.Error
	for errors.As(err, &about) {
		err = about.Err
	}
	return err
}

// unreachable words an error of making a request.
func unreachable(err error) error {
	err = withoutURL(err)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) { // it will not be trusted later either
		return fmt.Errorf("asking the service: %w", err)
	}
	return &unheard{"asking the service", err}
}

// repeatable reports whether the same call may be answered otherwise later, and
// when the service wants it again at the earliest.
func repeatable(err error) (after time.Duration, ok bool) {
	var problem *Problem
	if errors.As(err, &problem) {
		after = problem.RetryAfter
		if problem.Status == http.StatusTooManyRequests {
			return after, true
		}
	}
	return after, errors.Is(err, ErrUnknown)
}

// retryAfter reads the header, in seconds or as a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
