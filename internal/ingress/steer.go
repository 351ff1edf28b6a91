package ingress

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/internal/board"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// updateSale is PATCH /v1/sales/{product}. If-Match names the version that the
// operator has seen. A wish that is true already is answered as done, whatever
// the version.
func (i *Ingress) updateSale(c echo.Context) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	of, err := i.saleIn(c)
	if err != nil {
		return err
	}
	version, err := versionOf(c.Request())
	if err != nil {
		return err
	}
	var body struct {
		settingsBody
		whyBody
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	change, err := body.change(time.Now())
	if err != nil {
		return err
	}
	if change == (sale.Change{}) {
		return refuse(invalidRequest, "no setting is named")
	}
	if version == of.Version && of.Rules == sale.NewestRules {
		// The log would say the same, in fewer words.
		if err := change.Of(of.Settings).Validate(); err != nil {
			return refuse(invalidRequest, err.Error())
		}
	}
	actor, reason, err := body.why()
	if err != nil {
		return err
	}
	return i.steer(c, &of, sale.Update{Sale: of.ID, Version: version, Change: change, Actor: actor, Reason: reason})
}

// versionOf reads If-Match: an ETag of the sale. One that a proxy has made a
// weak one still names its version.
func versionOf(r *http.Request) (int64, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, refuse(versionRequired, "If-Match must be the ETag of the sale")
	}
	text, opened := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(values[0]), "W/"), `"`)
	text, closed := strings.CutSuffix(text, `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if !opened || !closed || err != nil || version < 1 || len(values) > 1 || text != strconv.FormatInt(version, 10) {
		return 0, refuse(invalidRequest, `If-Match must be one ETag of the sale, which is its version: "1"`)
	}
	return version, nil
}

// pauseSale is POST /v1/sales/{product}/pause.
func (i *Ingress) pauseSale(c echo.Context) error {
	return i.steerAs(c, func(of sale.Offset, actor, reason string) sale.Body {
		return sale.Pause{Sale: of, Actor: actor, Reason: reason}
	})
}

// resumeSale is POST /v1/sales/{product}/resume.
func (i *Ingress) resumeSale(c echo.Context) error {
	return i.steerAs(c, func(of sale.Offset, actor, reason string) sale.Body {
		return sale.Resume{Sale: of, Actor: actor, Reason: reason}
	})
}

// closeSale is POST /v1/sales/{product}/close.
func (i *Ingress) closeSale(c echo.Context) error {
	return i.steerAs(c, func(of sale.Offset, actor, reason string) sale.Body {
		return sale.Close{Sale: of, Actor: actor, Reason: reason}
	})
}

// steerAs reads a command that says nothing but who and why.
func (i *Ingress) steerAs(c echo.Context, command func(of sale.Offset, actor, reason string) sale.Body) error {
	if err := i.operator.check(c.Request()); err != nil {
		return err
	}
	of, err := i.saleIn(c)
	if err != nil {
		return err
	}
	var body whyBody
	if err := readBody(c, &body); err != nil {
		return err
	}
	actor, reason, err := body.why()
	if err != nil {
		return err
	}
	return i.steer(c, &of, command(of.ID, actor, reason))
}

// steer appends an operator's command about a sale, and answers with the sale
// as it is then. The command names the sale: where the product is sold again
// meanwhile, it does not act on the later one.
func (i *Ingress) steer(c echo.Context, of *board.SaleView, body sale.Body) error {
	_, result, err := i.command(c.Request().Context(), of.Partition, of.Product, body)
	code := http.StatusOK
	switch {
	case errors.Is(err, errUndecided):
		code = http.StatusAccepted
	case err != nil:
		return err
	default:
		if err := refusedBy(result.Code); err != nil {
			return err
		}
	}
	now := i.saleAgain(of)
	return answerSale(c, code, &now)
}

// saleAgain gives a sale as it is now, also where it is not its product's
// latest any more.
func (i *Ingress) saleAgain(of *board.SaleView) board.SaleView {
	if now, known := i.board.Sale(of.Product); known && now.ID == of.ID {
		return now
	}
	for _, now := range i.board.Sales() {
		if now.Partition == of.Partition && now.ID == of.ID {
			return now
		}
	}
	return *of
}
