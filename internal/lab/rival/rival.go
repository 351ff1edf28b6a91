package rival

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Config says what is sold, in which way, on what.
type Config struct {
	Kind        Kind
	PostgresURL string // a database that is the rival's own
	RedisURL    string // a Redis database that is its own; for kinds that use one
	Product     string
	Units       int64
	Pool        int // connections to Postgres; 0: as many as were fastest
	// AsAnteroom has it served by anteroom's HTTP server. A rival is served by
	// net/http, as people serve echo.
	AsAnteroom bool

	// Canned is what BareEcho answers, by route: BuyRoute and QueueRoute.
	Canned map[string]Canned

	hooks hooks
}

// hooks let a test stop a click where being late does harm.
type hooks struct {
	afterRead func() // by the kinds that oversell: between what they read and what they write
}

// defaultPatience is how long a click waits for a connection to Postgres, and
// then for its statements, each time.
const defaultPatience = 5 * time.Second

// Validate reports the first thing that cannot be.
func (c Config) Validate() error {
	of, err := c.Kind.about()
	if err != nil {
		return err
	}
	if c.Kind == BareEcho {
		return validateCanned(c.Canned)
	}
	switch {
	case len(c.Canned) > 0:
		return fmt.Errorf("rival: %s answers for itself, nothing is canned", c.Kind)
	case !sale.ValidProduct(sale.Product(c.Product)):
		return fmt.Errorf("rival: %q is not a product", c.Product)
	case c.Units < 1:
		return fmt.Errorf("rival: %d units, at least 1", c.Units)
	case c.Pool < 0:
		return fmt.Errorf("rival: a pool of %d", c.Pool)
	case of.postgres && c.PostgresURL == "":
		return fmt.Errorf("rival: %s needs a postgres", c.Kind)
	case of.redis > 0 && c.RedisURL == "":
		return fmt.Errorf("rival: %s needs a redis", c.Kind)
	}
	return nil
}

// Rival is one of the kinds, ready to serve. Its methods may be called from any
// goroutine.
type Rival struct {
	config   Config
	database *database   // nil for BareEcho
	cache    *stockCache // nil for kinds without Redis
	seller   seller      // nil for BareEcho
	handler  http.Handler
}

// New makes the tables and the keys, throwing away those of an earlier Rival,
// opens the pools, and gives a Rival that has everything to sell. ctx bounds
// the making.
func New(ctx context.Context, config Config) (*Rival, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Rival{config: config}
	if config.Kind == BareEcho {
		r.handler = cannedHandler(config.Canned)
		return r, nil
	}
	if err := r.open(ctx); err != nil {
		r.Close()
		return nil, err
	}
	r.handler = newShop(config.Product, r.seller).handler()
	return r, nil
}

func (r *Rival) open(ctx context.Context) error {
	of, err := r.config.Kind.about()
	if err != nil {
		return err
	}
	pool := of.pool
	if r.config.Pool > 0 {
		pool = r.config.Pool
	}
	if err := makeTables(ctx, r.config.PostgresURL, r.config.Units, r.config.Kind == SkipLocked); err != nil {
		return err
	}
	if r.database, err = openDatabase(ctx, r.config.PostgresURL, pool); err != nil {
		return err
	}
	if of.redis > 0 {
		if r.cache, err = openStockCache(ctx, r.config.RedisURL, of.redis, r.config.Product, r.config.Units); err != nil {
			return err
		}
	}
	r.seller, err = of.make(ctx, r.config, r.database, r.cache)
	return err
}

// Handler serves the kind's HTTP interface.
func (r *Rival) Handler() http.Handler { return r.handler }

// Setting is one of the things that a report says of a rival.
type Setting struct {
	Name, Value string
}

// Settings says how the rival is tuned.
func (r *Rival) Settings() []Setting {
	all := []Setting{{"kind", string(r.config.Kind)}}
	if r.database != nil {
		all = append(all, r.database.settings()...)
	}
	if r.cache != nil {
		all = append(all, r.cache.settings()...)
	}
	if r.seller != nil {
		all = append(all, Setting{"units", strconv.FormatInt(r.config.Units, 10)})
		all = append(all, r.seller.settings()...)
	}
	return all
}

// Tally is what was sold, in units.
type Tally struct {
	Sold     int64 // rows
	Oversold int64 // rows above what there was
	Unsold   int64 // what has no row
}

// Tally counts the rows.
func (r *Rival) Tally(ctx context.Context) (Tally, error) {
	if r.database == nil {
		return Tally{}, errors.New("rival: bare_echo sells nothing")
	}
	sold, err := r.database.sold(ctx)
	if err != nil {
		return Tally{}, err
	}
	return Tally{Sold: sold, Oversold: max(0, sold-r.config.Units), Unsold: max(0, r.config.Units-sold)}, nil
}

// Close ends what New has opened. Whoever serves Handler has stopped before.
func (r *Rival) Close() {
	if r.seller != nil {
		r.seller.close()
	}
	if r.cache != nil {
		r.cache.close()
	}
	if r.database != nil {
		r.database.Close()
	}
}
