package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	attemptTimeout  = 10 * time.Second // for all of an attempt, the answer included
	maxAnswerHeader = 16 << 10
	maxAnswer       = 64 << 10 // of its body is read, so that the connection serves again
	maxErrorText    = 300
	// The specification's bounds of a secret, in bytes.
	minSecret, maxSecret = 24, 64
	secretPrefix         = "whsec_"
)

// ErrSecret means that a secret is not one of the specification's.
var ErrSecret = errors.New("a webhook's secret is whsec_ and the base64 of 24 to 64 random bytes")

// sender posts messages to the one URL, signed with each of the secrets, so
// that a shop can change from one to the next.
type sender struct {
	url     *url.URL
	client  *http.Client
	signers []*standardwebhooks.Webhook
}

func newSender(config Config) (*sender, error) {
	to, err := checkURL(config.URL, config.AllowPrivate)
	if err != nil {
		return nil, err
	}
	s := &sender{url: to}
	for _, secret := range config.Secrets {
		encoded, found := strings.CutPrefix(secret, secretPrefix)
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if !found || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
			return nil, ErrSecret
		}
		signer, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		s.signers = append(s.signers, signer)
	}
	if len(s.signers) == 0 {
		return nil, ErrSecret
	}
	transport := config.transport
	if transport == nil {
		transport = &http.Transport{
			// No proxy: what it connects to could not be looked at.
			DialContext:       newDialer(config.AllowPrivate).DialContext,
			ForceAttemptHTTP2: true, MaxConnsPerHost: 2 * concurrency, MaxIdleConnsPerHost: concurrency, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: attemptTimeout, MaxResponseHeaderBytes: maxAnswerHeader,
		}
	}
	s.client = &http.Client{
		Transport: transport, Timeout: attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// outcome is what became of an attempt.
type outcome struct {
	status     int // 0: there was no answer
	err        error
	retryAfter time.Duration // that the shop asked for
}

func (o outcome) delivered() bool { return o.err == nil }

// gone is the shop's wish not to be sent this any more.
func (o outcome) gone() bool { return o.status == http.StatusGone }

// text says what was wrong, for an operator.
func (o outcome) text() string {
	text := strings.ToValidUTF8(o.err.Error(), "\ufffd")
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "")
	}
	return text
}

// send makes one attempt. Only an answer of 2xx is success.
func (s *sender) send(ctx context.Context, m Message) outcome {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(m.Body))
	if err != nil {
		return outcome{err: fmt.Errorf("making the request: %w", err)}
	}
	now := time.Now()
	signatures := make([]string, len(s.signers))
	for i, signer := range s.signers {
		if signatures[i], err = signer.Sign(m.ID, now, m.Body); err != nil {
			return outcome{err: fmt.Errorf("signing: %w", err)}
		}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "anteroom-webhooks")
	request.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))

	response, err := s.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which may have a password
		}
		return outcome{err: err}
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // what it says does not matter
	switch {
	case response.StatusCode >= 200 && response.StatusCode < 300:
		return outcome{status: response.StatusCode}
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return outcome{status: response.StatusCode, err: fmt.Errorf("answered %d; redirects are not followed", response.StatusCode)}
	}
	return outcome{
		status: response.StatusCode, retryAfter: retryAfter(response.Header.Get("Retry-After"), now),
		err: fmt.Errorf("answered %d %s", response.StatusCode, http.StatusText(response.StatusCode)),
	}
}

// retryAfter reads the header's two forms. It is at most lastBackoff, and 0 for
// what cannot be read.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, lastBackoff)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), lastBackoff)
	}
	return 0
}
