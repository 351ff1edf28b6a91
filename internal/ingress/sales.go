package ingress

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

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
	answer := publicOf(&of)
	return writeJSON(c, http.StatusOK, &answer)
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
	return answerSale(c, http.StatusOK, &of)
}

// answerSale shows a sale to an operator. Its ETag is the version that an
// update names; it says nothing of the counts, which change with every record.
func answerSale(c echo.Context, code int, of *board.SaleView) error {
	c.Response().Header().Set("ETag", `"`+strconv.FormatInt(of.Version, 10)+`"`)
	answer := answerOf(of)
	return writeJSON(c, code, &answer)
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

// createSale is POST /v1/sales.
func (i *Ingress) createSale(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	var body struct {
		Product sale.Product `json:"product"`
		settingsBody
		Partition *int32 `json:"partition"`
		whyBody
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	if !sale.ValidProduct(body.Product) {
		return refuse(invalidRequest, "product must be 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit")
	}
	settings, err := body.settings(time.Now())
	if err != nil {
		return err
	}
	if partitions := i.topic.Partitions(); body.Partition != nil && (*body.Partition < 0 || *body.Partition >= partitions) {
		return refusef(invalidRequest, "partition must be from 0 to %d", partitions-1)
	}
	actor, reason, err := body.why()
	if err != nil {
		return err
	}
	if of, known := i.board.Sale(body.Product); known && of.Stage != sale.StageClosed {
		return refuse(alreadyOpen, "sale "+ticket.PublicID(of.Partition, int64(of.ID))+" is "+string(of.Stage))
	}
	ctx := c.Request().Context()
	partition, err := i.bind(ctx, body.Product, body.Partition)
	if err != nil {
		return err
	}
	offset, result, err := i.command(ctx, partition, body.Product, sale.Create{
		Rules: sale.NewestRules, Settings: settings, BuyerKey: i.buyers.Newest(), Actor: actor, Reason: reason, Later: true,
	})
	location := "/v1/sales/" + string(body.Product)
	if errors.Is(err, errUndecided) {
		c.Response().Header().Set("Location", location)
		return writeJSON(c, http.StatusAccepted, &saleAnswer{
			Sale: ticket.PublicID(partition, int64(offset)), Product: body.Product, Partition: partition,
			State: stateUndecided, settingsAnswer: settingsOf(&settings),
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
	return answerSale(c, http.StatusCreated, &of)
}

// bind gives the product's partition, which it has for ever from then on.
func (i *Ingress) bind(ctx context.Context, product sale.Product, wanted *int32) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, bindWait)
	defer cancel()
	partition, err := i.bindings.Bind(ctx, product, wanted)
	switch {
	case err == nil && partition >= i.topic.Partitions():
		i.log.Error("a product belongs to a partition that was added after this process had started: restart the ingresses", "product", product, "partition", partition)
		return 0, cannotTell("this server does not know the product's partition; it has to be restarted")
	case err == nil:
		return partition, nil
	case errors.Is(err, ErrBound):
		return 0, refuse(boundElsewhere, "")
	case errors.Is(err, ErrNoSuchPartition):
		return 0, refuse(invalidRequest, "the log has no such partition")
	}
	i.log.Warn("a product cannot be bound to a partition", "product", product, "error", err)
	return 0, cannotTell("the product's partition cannot be read now")
}
