package main

import (
	"net/http"
	"sync"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/internal/ingress/ingresstest"
)

// contract is what the service promises in its OpenAPI document. It is read
// once, and keeps what was found to be otherwise until TestMain asks.
var contract = sync.OnceValues(func() (*ingresstest.Contract, error) { return ingresstest.New(ingress.OpenAPI()) })

// asDescribed gives a client whose calls fail where the answer, or a request
// that was accepted, is not as the document describes it.
func asDescribed() *http.Client { return &http.Client{Transport: described{}} }

type described struct{}

func (described) RoundTrip(request *http.Request) (*http.Response, error) {
	c, err := contract()
	if err != nil {
		return nil, err
	}
	return c.Transport(http.DefaultTransport).RoundTrip(request)
}

// undescribed gives what was not as the document describes it, in any test: who
// waits for an answer may have tried again.
func undescribed() error {
	c, err := contract()
	if err != nil {
		return err
	}
	return c.Err()
}
