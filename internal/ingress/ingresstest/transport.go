package ingresstest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// Transport makes calls by another transport, and checks each. A mismatch is
// the call's error.
func (c *Contract) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{c, base}
}

type transport struct {
	contract *Contract
	base     http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. It reads the body of an answer that
// is no stream before it gives the answer.
func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		body, err = io.ReadAll(request.Body)
		_ = request.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the request's body: %w", err)
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	response, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer := Answer{Code: response.StatusCode, Header: response.Header, Stream: streams(response)}
	if !answer.Stream {
		answer.Body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(answer.Body))
	}
	if err := t.contract.Check(request, body, answer); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

func streams(response *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return response.StatusCode == http.StatusSwitchingProtocols || kind == "text/event-stream"
}
