package ingress

import (
	"context"
	"errors"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// Defaults of a sale's settings.
const (
	defaultHoldSeconds    = 480
	defaultMaxHoldSeconds = 1800
	defaultPerBuyerLimit  = 1
	defaultMaxQuantity    = 1
	defaultPolicy         = sale.PolicyQueue // until the rest of the interface knows the others
)

// States of a sale, as it is shown.
const (
	stateSoldOut   = "sold_out"  // open, and nothing can come back
	stateUndecided = "undecided" // asked for, and not made yet
)

const (
	operatorActor = "operator"
	maxReason     = 200 // characters
)

// productAnswer is what anyone may know of a sale.
type productAnswer struct {
	Product               sale.Product `json:"product"`
	State                 string       `json:"state"`
	Available             int64        `json:"available"`
	Quantity              int64        `json:"quantity"`
	Line                  int64        `json:"line"`
	HoldSeconds           int64        `json:"hold_seconds"`
	PerBuyerLimit         int64        `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64        `json:"max_quantity_per_request"`
}

// saleAnswer is what operators are shown of a sale.
type saleAnswer struct {
	Sale      string       `json:"sale"`
	Product   sale.Product `json:"product"`
	Partition int32        `json:"partition"`
	State     string       `json:"state"`
	Stopped   string       `json:"stopped,omitempty"` // why its partition cannot go on
	sale.Settings
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
	Held      int64  `json:"held"`
	Confirmed int64  `json:"confirmed"`
	Requests  int64  `json:"requests"`
	SoldOut   int64  `json:"sold_out"`
	Rejected  int64  `json:"rejected"`
	Line      int64  `json:"line"`
	Version   int64  `json:"version"`
	CreatedAt string `json:"created_at,omitempty"`
}

func stateOf(s *board.SaleView) string {
	if s.Stage == sale.StageOpen && s.SoldOutForGood() {
		return stateSoldOut
	}
	return string(s.Stage)
}

func answerOf(s *board.SaleView) saleAnswer {
	return saleAnswer{
		Sale: ticket.PublicID(s.Partition, int64(s.ID)), Product: s.Product, Partition: s.Partition,
		State: stateOf(s), Stopped: s.Stopped, Settings: s.Settings,
		Available: s.Available, Reserved: s.Reserved, Held: s.Held, Confirmed: s.Confirmed,
		Requests: s.Requests, SoldOut: s.SoldOut, Rejected: s.Rejected,
		Line: s.Line, Version: s.Version, CreatedAt: timestamp(s.CreatedAt),
	}
}

// saleIn finds the latest sale of the product in the path.
func (i *Ingress) saleIn(c echo.Context) (board.SaleView, error) {
	product, err := productOf(c)
	if err != nil {
		return board.SaleView{}, err
	}
	of, known := i.board.Sale(product)
	switch {
	case known:
		return of, nil
	case !i.board.Ready():
		return of, cannotTell("this server does not know the sales yet")
	}
	return of, refuse(unknownProduct, "")
}

// showProduct is GET /v1/products/{product}.
func (i *Ingress) showProduct(c echo.Context) error {
	of, err := i.saleIn(c)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, &productAnswer{
		Product: of.Product, State: stateOf(&of), Available: of.Available, Quantity: of.Quantity,
		Line: of.Line, HoldSeconds: of.HoldSeconds,
		PerBuyerLimit: of.PerBuyerLimit, MaxQuantityPerRequest: of.MaxQuantityPerRequest,
	})
}

// showSale is GET /v1/sales/{product}.
func (i *Ingress) showSale(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	of, err := i.saleIn(c)
	if err != nil {
		return err
	}
	answer := answerOf(&of)
	return writeJSON(c, http.StatusOK, &answer)
}

// listSales is GET /v1/sales: all sales, earlier ones of a product too.
func (i *Ingress) listSales(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	if !i.board.Ready() {
		return cannotTell("this server does not know the sales yet")
	}
	all := i.board.Sales()
	list := struct {
		Sales []saleAnswer `json:"sales"`
	}{Sales: make([]saleAnswer, len(all))}
	for n := range all {
		list.Sales[n] = answerOf(&all[n])
	}
	return writeJSON(c, http.StatusOK, &list)
}

// saleBody is what POST /v1/sales takes.
type saleBody struct {
	Product               sale.Product `json:"product"`
	Quantity              int64        `json:"quantity"`
	HoldSeconds           int64        `json:"hold_seconds"`
	PerBuyerLimit         int64        `json:"per_buyer_limit"`
	MaxQuantityPerRequest int64        `json:"max_quantity_per_request"`
	Policy                sale.Policy  `json:"policy"`
	Partition             *int32       `json:"partition"`
	Reason                string       `json:"reason"`
}

func (b *saleBody) settings() sale.Settings {
	return sale.Settings{
		Quantity: b.Quantity, HoldSeconds: b.HoldSeconds, PerBuyerLimit: b.PerBuyerLimit,
		MaxQuantityPerRequest: b.MaxQuantityPerRequest, Policy: b.Policy,
		MaxHoldSeconds: max(defaultMaxHoldSeconds, b.HoldSeconds),
	}
}

func (b *saleBody) validate(partitions int32) error {
	if !sale.ValidProduct(b.Product) {
		return refuse(invalidRequest, "product must be 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit")
	}
	if err := b.settings().Validate(); err != nil {
		return refuse(invalidRequest, err.Error())
	}
	if b.Partition != nil && (*b.Partition < 0 || *b.Partition >= partitions) {
		return refusef(invalidRequest, "partition must be from 0 to %d", partitions-1)
	}
	if utf8.RuneCountInString(b.Reason) > maxReason {
		return refusef(invalidRequest, "reason must have at most %d characters", maxReason)
	}
	for _, r := range b.Reason {
		if !unicode.IsPrint(r) {
			return refuse(invalidRequest, "reason must be printable text")
		}
	}
	return nil
}

// createSale is POST /v1/sales.
func (i *Ingress) createSale(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	body := saleBody{
		HoldSeconds: defaultHoldSeconds, PerBuyerLimit: defaultPerBuyerLimit,
		MaxQuantityPerRequest: defaultMaxQuantity, Policy: defaultPolicy,
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	if err := body.validate(i.topic.Partitions()); err != nil {
		return err
	}
	if of, known := i.board.Sale(body.Product); known && of.Stage == sale.StageOpen {
		return refuse(alreadyOpen, "sale "+ticket.PublicID(of.Partition, int64(of.ID)))
	}
	ctx := c.Request().Context()
	partition, err := i.bind(ctx, &body)
	if err != nil {
		return err
	}
	offset, result, err := i.command(ctx, partition, body.Product, sale.Create{
		Rules: sale.NewestRules, Settings: body.settings(), BuyerKey: i.buyers.Newest(),
		Actor: operatorActor, Reason: body.Reason, Later: true,
	})
	location := "/v1/sales/" + string(body.Product)
	if errors.Is(err, errUndecided) {
		c.Response().Header().Set("Location", location)
		return writeJSON(c, http.StatusAccepted, &saleAnswer{
			Sale: ticket.PublicID(partition, int64(offset)), Product: body.Product, Partition: partition,
			State: stateUndecided, Settings: body.settings(),
		})
	}
	if err == nil {
		err = refusedBy(result.Code)
	}
	if err != nil {
		return err
	}
	of, known := i.board.Sale(body.Product)
	if !known {
		return cannotTell("the sale is made, and cannot be read now")
	}
	c.Response().Header().Set("Location", location)
	answer := answerOf(&of)
	return writeJSON(c, http.StatusCreated, &answer)
}

// bind gives the product's partition, which it has for ever from then on.
func (i *Ingress) bind(ctx context.Context, body *saleBody) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, bindWait)
	defer cancel()
	partition, err := i.bindings.Bind(ctx, body.Product, body.Partition)
	switch {
	case err == nil && partition >= i.topic.Partitions():
		i.log.Error("a product belongs to a partition that was added after this process had started: restart the ingresses", "product", body.Product, "partition", partition)
		return 0, cannotTell("this server does not know the product's partition; it has to be restarted")
	case err == nil:
		return partition, nil
	case errors.Is(err, ErrBound):
		return 0, refuse(boundElsewhere, "")
	case errors.Is(err, ErrNoSuchPartition):
		return 0, refuse(invalidRequest, "the log has no such partition")
	}
	i.log.Warn("a product cannot be bound to a partition", "product", body.Product, "error", err)
	return 0, cannotTell("the product's partition cannot be read now")
}
