package bench

import (
	"context"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/load"
	"github.com/anteroomhq/anteroom/internal/lab/rival"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Stack starts what is measured.
type Stack interface {
	// Service starts anteroom's processes on a log and a ledger of their own.
	Service(ctx context.Context, config ServiceConfig) (Service, error)

	// Rival starts a rival's process on a database of its own. The Stack fills
	// in where the backends are.
	Rival(ctx context.Context, config rival.Config, commitDelay time.Duration) (Rival, error)

	// Generator starts a load generator. Its Close ends it.
	Generator(ctx context.Context) (*load.Driver, error)

	// Backends are the processes that all arms stand on, by name, as far as
	// they are known.
	Backends() map[string]int

	// Syncs is how often Postgres has synced its log to disk.
	Syncs(ctx context.Context) (int64, error)
}

// ServiceConfig says what of anteroom is started.
type ServiceConfig struct {
	Partitions int32 // of the log
	// Idle leaves the allocator out, until Service.Decide.
	Idle bool
	// CommitDelay has Postgres wait before it syncs a commit's log to disk, as
	// a slower disk would.
	CommitDelay time.Duration
}

// Service is a running anteroom.
type Service interface {
	Address() string           // of its ingress
	Processes() map[string]int // by role
	Operator() *client.Client
	MerchantToken() string

	// Decide starts the allocator of a service that was started idle.
	Decide(ctx context.Context) error
	// Halt ends the allocator: nothing is decided any more.
	Halt() error
	// Metric is the sum of a metric's samples, as a role shows it.
	Metric(ctx context.Context, role, name string) (float64, error)
	// Append appends records to a partition, as fast as the log takes them.
	Append(ctx context.Context, partition int32, product sale.Product, records func(yield func(sale.Body) bool)) error
	// Watermark is how far the ledger has come in a partition.
	Watermark(ctx context.Context, partition int32) (sale.Offset, error)
	// Tally is what the ledger has of a product's latest sale.
	Tally(ctx context.Context, product sale.Product) (Tally, error)
	// Close ends the processes and removes log and ledger.
	Close() error
}

// Tally is what a ledger holds of a sale.
type Tally struct {
	Sale  sale.Sale
	Units map[sale.State]int64 // of the requests that have rows, by their state
}

// Rival is a running rival.
type Rival interface {
	Address() string
	Processes() map[string]int
	Settings() []rival.Setting
	Tally(ctx context.Context) (rival.Tally, error)
	Close() error
}
