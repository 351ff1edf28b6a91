package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// How fast a client notices that a broker is gone, and that it is back. A
// broker that refuses connections is tried again after retryBackoff; one that
// has gone silent is given up on after answerTimeout (and, for an append, the
// time that the broker may wait for its replicas). franz-go's defaults, 10 s
// and up, are made for throughput.
const (
	dialTimeout    = 2 * time.Second
	answerTimeout  = 3 * time.Second
	replicaTimeout = 3 * time.Second
	metadataMinAge = 250 * time.Millisecond

	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
)

// retryBackoff doubles from firstBackoff to lastBackoff, less up to half of it
// at random.
func retryBackoff(failures int) time.Duration {
	backoff := lastBackoff
	if failures < 5 {
		backoff = min(firstBackoff<<max(failures-1, 0), lastBackoff)
	}
	return backoff/2 + rand.N(backoff/2+1)
}

// newClient makes a franz-go client with what all clients here have in common.
// It connects to nothing yet.
func newClient(config Config, options ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{
		kgo.SeedBrokers(config.Brokers...),
		kgo.ClientID(config.Name),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(answerTimeout),
		kgo.RetryBackoffFn(retryBackoff),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.DisableClientMetrics(),
		kgo.WithLogger(&driverLogger{logger: config.Logger}),
	}
	client, err := kgo.NewClient(append(common, options...)...)
	if err != nil {
		return nil, fmt.Errorf("making a kafka client: %w", err)
	}
	return client, nil
}

// driverLogger passes on what franz-go has to say: of its errors the same one
// seldom, since whatever matters is also returned to a caller; the rest only
// for debugging.
type driverLogger struct {
	logger *slog.Logger
	seldom seldom
}

func (l *driverLogger) Level() kgo.LogLevel {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

func (l *driverLogger) Log(level kgo.LogLevel, message string, attributes ...any) {
	to := slog.LevelDebug
	if level == kgo.LogLevelError {
		if l.seldom.again(message, time.Now()) {
			return
		}
		to = slog.LevelWarn
	}
	l.logger.Log(context.Background(), to, "kafka client: "+message, attributes...)
}
