package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the log is and how it is used. Brokers is required; every
// other field has a default, which its zero value stands for.
type Config struct {
	Brokers []string // host:port
	Topic   string   // "anteroom.requests"
	Group   string   // the allocators' consumer group, "anteroom-allocators"

	// Partitions is how many the topic is to have at least: 12.
	Partitions int32
	// SingleBroker accepts a topic whose records are on one broker alone, which
	// loses acknowledged records when that broker is lost.
	SingleBroker bool

	// Name tells the clients of one process apart, in the brokers' logs and in
	// metrics: "anteroom". Two Logs or Memberships that are open at once on one
	// Registerer need different ones.
	Name string
	// ShedAge is how old a partition's oldest record without an acknowledgement
	// may be before further ones are refused: 0.9 s.
	ShedAge time.Duration
	// MaxWaiting is how many records may wait for their acknowledgements, in
	// all partitions together: 100,000.
	MaxWaiting int

	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: no log

	decisions bool // Topic is that of decisions, on which time and retention do not matter
}

const (
	defaultTopic      = "anteroom.requests"
	defaultGroup      = "anteroom-allocators"
	defaultPartitions = 12
	defaultName       = "anteroom"
	defaultShedAge    = 900 * time.Millisecond // so that none is refused later than after 1 s
	defaultMaxWaiting = 100_000

	maxPartitions = 10_000
)

func (c Config) withDefaults() Config {
	if c.Topic == "" {
		c.Topic = defaultTopic
	}
	if c.Group == "" {
		c.Group = defaultGroup
	}
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions
	}
	if c.Name == "" {
		c.Name = defaultName
	}
	if c.ShedAge == 0 {
		c.ShedAge = defaultShedAge
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = defaultMaxWaiting
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first setting that cannot be used.
func (c Config) Validate() error {
	switch {
	case len(c.Brokers) == 0 || slices.Contains(c.Brokers, ""):
		return errors.New("kafka: no brokers")
	case c.Partitions < 0 || c.Partitions > maxPartitions:
		return fmt.Errorf("kafka: %d partitions, want 1 to %d", c.Partitions, maxPartitions)
	case c.ShedAge < 0:
		return fmt.Errorf("kafka: shed age %v is below 0", c.ShedAge)
	case c.MaxWaiting < 0:
		return fmt.Errorf("kafka: at most %d records waiting is below 0", c.MaxWaiting)
	}
	return nil
}

// complete checks the settings and fills in the defaults.
func (c Config) complete() (Config, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	return c.withDefaults(), nil
}
