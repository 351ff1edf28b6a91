package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
)

// canned are answers as anteroom gave them, for an echo server to give the same
// bytes.
type canned struct {
	accepted rival.Canned // 202 to a click
	status   rival.Canned // 200 to a poll
	refused  rival.Canned // 409 to a click at a shut door
}

// can takes the answers down.
func can(ctx context.Context, stack Stack) (_ *canned, err error) {
	t := newTrial(stack, size{}, nil)
	defer func() {
		if closing := t.close(); err == nil {
			err = closing
		}
	}()
	s, err := t.service(ctx, ServiceConfig{})
	if err != nil {
		return nil, err
	}
	if err := openLine(ctx, s, product); err != nil {
		return nil, err
	}
	var c canned
	if c.accepted, err = take(ctx, http.MethodPost, s, "/v1/products/"+product+"/buy", http.StatusAccepted); err != nil {
		return nil, err
	}
	location := c.accepted.Header["Location"]
	if c.status, err = take(ctx, http.MethodGet, s, location, http.StatusOK); err != nil {
		return nil, err
	}
	none := int64(0)
	if err := open(ctx, s, client.NewSale{Product: "gone", Quantity: 1, Policy: "reject", WaitlistCapacity: &none}); err != nil {
		return nil, err
	}
	if err := sellOut(ctx, s, "gone"); err != nil {
		return nil, err
	}
	c.refused, err = take(ctx, http.MethodPost, s, "/v1/products/gone/buy", http.StatusConflict)
	return &c, err
}

func take(ctx context.Context, method string, s Service, path string, want int) (rival.Canned, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Address()+path, nil)
	if err != nil {
		return rival.Canned{}, err
	}
	request.Header.Set("X-Buyer-ID", "canned")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return rival.Canned{}, fmt.Errorf("taking an answer down: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return rival.Canned{}, fmt.Errorf("taking an answer down: %w", err)
	}
	if response.StatusCode != want {
		return rival.Canned{}, fmt.Errorf("taking an answer down: %s %s: %s, want %d: %s", method, path, response.Status, want, body)
	}
	c := rival.Canned{Status: response.StatusCode, Header: make(map[string]string), Body: string(body)}
	for name := range response.Header {
		if name != "Date" && name != "Content-Length" { // the server's own
			c.Header[name] = response.Header.Get(name)
		}
	}
	return c, nil
}
