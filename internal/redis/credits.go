package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/anteroomhq/anteroom/internal/allocator"
	"github.com/anteroomhq/anteroom/pkg/event"
)

//go:embed credit.lua
var creditSource string

const (
	// creditLife is how long the gate goes by what an owner said last: longer
	// than a partition is without one while another takes over. Until then the
	// same units are leased again and again, and the core refuses who is too
	// many; after it, nobody is let in.
	creditLife = time.Minute

	maxEnded = 1000 // leases in a script call, for which everybody else waits
)

// errNegative is a credit that no owner can mean, and the script would take for
// something else.
var errNegative = errors.New("a credit is below 0")

// CreditsConfig says what credits use.
type CreditsConfig struct {
	Client *Client
}

// Credits is an allocator.Credits: it tells gates what can be sold. Its methods
// may be called from several goroutines.
type Credits struct {
	client  *goredis.Client
	timeout time.Duration // of a call
	script  *goredis.Script
	breaker breaker
}

// NewCredits makes the owners' side of gates.
func NewCredits(config CreditsConfig) *Credits {
	return &Credits{client: config.Client.redis, timeout: callTimeout, script: goredis.NewScript(creditSource)}
}

// Grant writes all credits in one round trip, two if the server does not have
// the script. Each is taken as a whole, and only if its Next is above that of
// the last one of its topic, product and sale; one with the same Next prolongs
// that and ends leases, and an older one changes nothing. It fails when Redis
// does not answer within callTimeout, and at once when it has failed just
// before; some credits may have been taken all the same.
func (c *Credits) Grant(ctx context.Context, topic event.TopicID, credits []allocator.Credit) error {
	var invocations []*invocation
	for _, credit := range credits {
		if credit.Sale < 0 || credit.Next < 0 || credit.Available < 0 {
			return fmt.Errorf("granting %d units of %s at %d: %w", credit.Available, credit.Product, credit.Next, errNegative)
		}
		invocations = append(invocations, grants(topic, credit)...)
	}
	if len(invocations) == 0 {
		return nil
	}
	if err := c.breaker.enter(); err != nil {
		return fmt.Errorf("granting credits: %w", err)
	}
	calling, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := evaluate(calling, c.client, c.script, invocations)
	if err == nil {
		c.breaker.leave(nil)
		return nil
	}
	if ctx.Err() != nil {
		c.breaker.abandon()
	} else {
		c.breaker.leave(err)
	}
	return fmt.Errorf("granting credits: %w", err)
}

// grants are the script calls of a credit. The first one writes what can be
// sold; where too many leases have ended for it, others follow under the same
// Next. In between the gate lets too few in, never too many.
func grants(topic event.TopicID, credit allocator.Credit) []*invocation {
	keys := []string{creditKey(saleID{log: topic, product: credit.Product, sale: credit.Sale})}
	var calls []*invocation
	for ended := range slices.Chunk(credit.Ended, maxEnded) {
		calls = append(calls, grant(keys, credit, ended))
	}
	if len(calls) == 0 {
		calls = append(calls, grant(keys, credit, nil))
	}
	return calls
}

func grant(keys []string, credit allocator.Credit, ended []string) *invocation {
	arguments := make([]any, 0, 3+len(ended))
	arguments = append(arguments, int64(credit.Next), credit.Available, creditLife.Milliseconds())
	for _, lease := range ended {
		arguments = append(arguments, lease)
	}
	return &invocation{keys: keys, arguments: arguments}
}
