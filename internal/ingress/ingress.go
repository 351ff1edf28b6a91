package ingress

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// What a server that serves Handler should be set to. It must have neither a
// ReadTimeout nor a WriteTimeout, which would end long polls and streams: calls
// bound their own reads and writes.
const (
	ReadHeaderTimeout = 5 * time.Second
	IdleTimeout       = 2 * time.Minute
	MaxHeaderBytes    = 8 << 10

	BodyTimeout  = 5 * time.Second // for a body, which is small
	WriteTimeout = 5 * time.Second // for one answer, after which a slow client is dropped
)

// Streams reports whether the calls of a path need their connection: to send as
// things happen, or to take it over.
func Streams(path string) bool {
	return strings.HasSuffix(path, socketPath) || strings.HasSuffix(path, eventsPath)
}

// How the paths of a ticket's streams end.
const (
	socketPath = "/ws"
	eventsPath = "/events"
)

// How long things may take.
const (
	appendWait  = 3 * time.Second  // for the log's acknowledgement of a buy
	commandWait = 2 * time.Second  // for a command's acknowledgement and result
	catchUpWait = time.Second      // for the board to reach a client's marker
	lookupWait  = 2 * time.Second  // for the ledger, where the board has to ask it
	bindWait    = 2 * time.Second  // for a product's partition
	longestWait = 30 * time.Second // of a long poll
)

// DefaultMaxStreams is how many streams and long polls an ingress serves at
// once unless its Config says otherwise.
const DefaultMaxStreams = 50_000

// Config says what an ingress works with.
type Config struct {
	Log      Log
	Gate     Gate
	Bindings Bindings
	Requests Requests
	Board    *board.Board // of the same log; whoever made it runs it

	Tickets *ticket.Keyring
	Buyers  *ticket.Pseudonyms

	Identify Identify  // nil is by X-Buyer-ID from this machine
	Checkout *Checkout // nil is without keys

	// Bearer tokens. The calls of one that is empty are off.
	MerchantToken string
	OperatorToken string

	// MaxStreams bounds WebSockets, event streams and long polls together;
	// above it they are refused. 0 is DefaultMaxStreams.
	MaxStreams int

	// DrainDelay is how long Drain lets work go on after it has said that the
	// ingress is not ready: what a load balancer needs to notice.
	DrainDelay time.Duration

	Metrics *prometheus.Registry // shown at /metrics; nil for a new one
	Logger  *slog.Logger         // nil for none
}

// Validate reports the first thing that is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Log == nil || c.Gate == nil || c.Bindings == nil || c.Requests == nil || c.Board == nil:
		return errors.New("ingress: a log, a gate, bindings, requests and a board are needed")
	case c.Tickets == nil || c.Buyers == nil:
		return errors.New("ingress: ticket keys and buyer keys are needed")
	case c.MaxStreams < 0:
		return fmt.Errorf("ingress: at most %d streams", c.MaxStreams)
	case c.DrainDelay < 0:
		return fmt.Errorf("ingress: a drain delay of %s", c.DrainDelay)
	case c.MerchantToken != "" && c.MerchantToken == c.OperatorToken:
		return errors.New("ingress: merchants and operators need different tokens")
	}
	return nil
}

// Ingress is the role. Its methods may be called from any goroutine.
type Ingress struct {
	log      *slog.Logger
	topic    Log
	gate     Gate
	bindings Bindings
	requests Requests
	board    *board.Board

	logID    ticket.LogID
	tickets  *ticket.Keyring
	buyers   *ticket.Pseudonyms
	identify Identify
	checkout *Checkout
	merchant bearer
	operator bearer

	limiter  *limiter
	recent   *recent
	flights  *flights
	overload *overload
	keyless  sync.Map // ids of buyer keys whose lack has been logged
	streams  streams
	metrics  *metrics
	drain    drain

	handler  http.Handler
	registry *prometheus.Registry
}

// New makes an ingress.
func New(config Config) (*Ingress, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Identify == nil {
		config.Identify = Identity{Proxies: Loopback()}.Of
	}
	if config.Checkout == nil {
		var err error
		if config.Checkout, err = NewCheckout(nil); err != nil {
			return nil, err
		}
	}
	if config.MaxStreams == 0 {
		config.MaxStreams = DefaultMaxStreams
	}
	if config.Metrics == nil {
		config.Metrics = prometheus.NewRegistry()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	line := newOverload(time.Now())
	i := &Ingress{
		log: config.Logger, topic: config.Log, gate: config.Gate, bindings: config.Bindings, requests: config.Requests, board: config.Board,
		logID: ticket.LogIDOf(config.Log.Topic()), tickets: config.Tickets, buyers: config.Buyers,
		identify: config.Identify, checkout: config.Checkout, merchant: newBearer(config.MerchantToken), operator: newBearer(config.OperatorToken),
		limiter: newLimiter(limiterEntries), recent: newRecent(recentEntries), flights: newFlights(line), overload: line,
		streams:  streams{most: int64(config.MaxStreams)},
		drain:    newDrain(config.DrainDelay),
		registry: config.Metrics,
	}
	var err error
	if i.metrics, err = newMetrics(config.Metrics, &i.streams, line); err != nil {
		return nil, err
	}
	i.handler = i.routes()
	return i, nil
}

// Handler serves shoppers, merchants and operators.
func (i *Ingress) Handler() http.Handler { return i.handler }

func (i *Ingress) routes() http.Handler {
	e := i.calls()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Cache-Control"] = noStore
		header["Referrer-Policy"] = noReferrer
		header["X-Content-Type-Options"] = noSniff
		if i.drain.begun() {
			header["Connection"] = closeConnection
		}
		limitBody(w, r)
		e.ServeHTTP(w, r)
	})
}

// calls are those that openapi.yaml describes.
func (i *Ingress) calls() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = i.answerError

	e.POST("/v1/products/:product/buy", i.work(i.buy))
	e.GET("/v1/products/:product", i.safely(i.showProduct))

	e.GET("/queue/:ticket", i.safely(i.showTicket))
	e.GET("/queue/:ticket"+socketPath, i.work(i.serveWebSocket))
	e.GET("/queue/:ticket"+eventsPath, i.work(i.serveEvents))
	e.DELETE("/queue/:ticket", i.work(i.leave))

	e.GET("/v1/holds/:request", i.safely(i.showHold))
	e.POST("/v1/holds/:request/confirm", i.work(i.confirm))
	e.POST("/v1/holds/:request/extend", i.work(i.extend))
	e.POST("/v1/holds/:request/release", i.work(i.release))
	e.POST("/v1/holds/:request/return", i.work(i.giveBack))

	e.POST("/v1/sales", i.work(i.createSale))
	e.GET("/v1/sales", i.safely(i.listSales))
	e.GET("/v1/sales/:product", i.safely(i.showSale))
	e.PATCH("/v1/sales/:product", i.work(i.updateSale))
	e.POST("/v1/sales/:product/pause", i.work(i.pauseSale))
	e.POST("/v1/sales/:product/resume", i.work(i.resumeSale))
	e.POST("/v1/sales/:product/close", i.work(i.closeSale))
	e.GET("/v1/sales/:product/requests", i.safely(i.listRequests))

	e.GET("/.well-known/jwks.json", i.safely(i.showKeys))
	i.describe(e)
	return e
}

// Values of headers, which many answers share and none writes to.
var (
	noStore         = []string{"no-store"}
	noReferrer      = []string{"no-referrer"}
	noSniff         = []string{"nosniff"}
	closeConnection = []string{"close"}
	jsonType        = []string{"application/json"}
	problemType     = []string{"application/problem+json"}
	eventType       = []string{"text/event-stream"}
)

// work wraps a call that begins something: it is refused once the ingress
// drains.
func (i *Ingress) work(call echo.HandlerFunc) echo.HandlerFunc {
	return i.safely(func(c echo.Context) error {
		if i.drain.begun() {
			return cannotTell("this server is about to stop")
		}
		return call(c)
	})
}

// safely turns a panic into an answer. The log names the route, not the path.
func (i *Ingress) safely(call echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(reason)
			}
			i.log.Error("a call panicked", "route", c.Path(), "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			err = refuse(internalError, "")
		}()
		return call(c)
	}
}

// productOf reads the product in the path. Another text than a product's is a
// product that nobody sells.
func productOf(c echo.Context) (sale.Product, error) {
	product := sale.Product(c.Param("product"))
	if !sale.ValidProduct(product) {
		return "", refuse(unknownProduct, "")
	}
	return product, nil
}
