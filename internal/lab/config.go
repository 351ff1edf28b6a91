package lab

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says what crowd to send where.
type Config struct {
	// Addresses are the host:port of each ingress. Shoppers spread over them
	// and try another one when a connection fails.
	Addresses []string
	Product   string
	Buyers    int
	// Connections is how many requests are under way at once.
	Connections int
	// MaxWaiting bounds the shoppers who have clicked and have no outcome yet.
	MaxWaiting int
	// Follow is how many shoppers in 1,000 follow by WebSocket, the rest poll.
	Follow int
	// MaxStreams bounds the WebSockets that are open at once.
	MaxStreams int
	// Crowd tells the buyers of one run from those of another.
	Crowd string
	// MerchantToken lets winners confirm, once everybody has clicked. Without
	// it they keep their hold.
	MerchantToken string
	// Patience is how long a shopper goes on trying while answers are missing.
	Patience time.Duration
}

// Validate reports the first thing that cannot be.
func (c Config) Validate() error {
	if len(c.Addresses) == 0 {
		return errors.New("lab: no address")
	}
	for _, address := range c.Addresses {
		if u, err := url.Parse("http://" + address); err != nil || u.Host != address {
			return fmt.Errorf("lab: address %q is not host:port", address)
		}
	}
	switch {
	case c.Product == "":
		return errors.New("lab: no product")
	case c.Crowd == "":
		return errors.New("lab: the crowd has no name")
	case c.Buyers < 1:
		return fmt.Errorf("lab: %d buyers, at least 1", c.Buyers)
	case c.Connections < 1:
		return fmt.Errorf("lab: %d connections, at least 1", c.Connections)
	case c.MaxWaiting < c.Connections:
		return fmt.Errorf("lab: %d may wait, at least one per connection (%d)", c.MaxWaiting, c.Connections)
	case c.Follow < 0 || c.Follow > 1000:
		return fmt.Errorf("lab: %d in 1000 follow, from 0 to 1000", c.Follow)
	case c.Follow > 0 && c.MaxStreams < 1:
		return errors.New("lab: followers without a stream")
	case c.Patience <= 0:
		return errors.New("lab: no patience")
	}
	return nil
}
