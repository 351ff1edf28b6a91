package rival

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Routes of the interface, as echo writes them.
const (
	BuyRoute   = "POST /v1/products/:product/buy"
	QueueRoute = "GET /queue/:ticket"
)

const (
	maxBuyer = 128 // characters
	maxBody  = 4 << 10
)

// status is what a shopper is shown of a hold: those of the members of
// anteroom's status that these shops know.
type status struct {
	ID          string `json:"id"`
	Product     string `json:"product"`
	Quantity    int64  `json:"quantity"`
	State       string `json:"state"`
	ExpiresAt   string `json:"expires_at"`
	RequestedAt string `json:"requested_at"`
	ServerTime  string `json:"server_time"`
}

// problem is an answer that is none, as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
}

func (p *problem) Error() string { return p.Code }

func refuse(status int, code, title string) *problem {
	return &problem{Type: "urn:anteroom:problem:" + code, Title: title, Status: status, Code: code}
}

// The refusals.
var (
	errInvalid        = refuse(http.StatusBadRequest, "invalid_request", "The request cannot be understood")
	errBuyerRequired  = refuse(http.StatusUnauthorized, "buyer_required", "It is not known who buys")
	errUnknownProduct = refuse(http.StatusNotFound, "unknown_product", "The product is not on sale")
	errNotFound       = refuse(http.StatusNotFound, "not_found", "There is no such resource")
	errMethod         = refuse(http.StatusMethodNotAllowed, "method_not_allowed", "The resource does not have this method")
	errSoldOut        = refuse(http.StatusGone, "sold_out", "The sale is sold out")
	errUnavailable    = refuse(http.StatusServiceUnavailable, "unavailable", "The service cannot tell now")
)

// shop puts a seller behind HTTP.
type shop struct {
	product string
	seller  seller
}

func newShop(product string, seller seller) *shop { return &shop{product: product, seller: seller} }

func (s *shop) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = answerError
	e.POST("/v1/products/:product/buy", s.buy)
	return e
}

func (s *shop) buy(c echo.Context) error {
	buyer, err := buyerOf(c.Request())
	if err != nil {
		return err
	}
	if err := readBody(c.Request()); err != nil {
		return err
	}
	if c.Param("product") != s.product {
		return errUnknownProduct
	}
	h, o, err := s.seller.take(c.Request().Context(), buyer)
	if err != nil {
		return errUnavailable // whatever it was: the seller cannot tell
	}
	switch o {
	case held:
		return s.show(c, http.StatusAccepted, h)
	case repeated:
		return s.show(c, http.StatusOK, h)
	case soldOut:
		return errSoldOut
	case locked: // no answer of a seller
	}
	return errUnavailable
}

func (s *shop) show(c echo.Context, code int, h hold) error {
	body, err := json.Marshal(status{
		ID: strconv.FormatInt(h.ID, 10), Product: s.product, Quantity: 1, State: string(held),
		ExpiresAt: timestamp(h.ExpiresAt), RequestedAt: timestamp(h.CreatedAt), ServerTime: timestamp(time.Now()),
	})
	if err != nil {
		return err
	}
	return c.Blob(code, "application/json", body)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// buyerOf reads who buys: 1 to 128 visible ASCII characters.
func buyerOf(r *http.Request) (string, error) {
	values := r.Header.Values("X-Buyer-ID")
	if len(values) == 0 || (len(values) == 1 && values[0] == "") {
		return "", errBuyerRequired
	}
	buyer := values[0]
	if len(values) > 1 || len(buyer) > maxBuyer {
		return "", errInvalid
	}
	for i := range len(buyer) {
		if buyer[i] <= ' ' || buyer[i] > '~' {
			return "", errInvalid
		}
	}
	return buyer, nil
}

// readBody accepts nothing, or an object that asks for one unit.
func readBody(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body := struct {
		Quantity int64 `json:"quantity"`
	}{Quantity: 1}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil || len(text) > maxBody:
		return errInvalid
	case len(text) == 0:
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || body.Quantity != 1 {
		return errInvalid
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) { // something follows
		return errInvalid
	}
	return nil
}

// answerError is where every error of a call becomes its answer.
func answerError(err error, c echo.Context) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = errUnavailable
		if he, ok := errors.AsType[*echo.HTTPError](err); ok {
			switch he.Code {
			case http.StatusNotFound:
				p = errNotFound
			case http.StatusMethodNotAllowed:
				p = errMethod
			default:
				p = errInvalid
			}
		}
	}
	if p.Status == http.StatusServiceUnavailable {
		// A crowd that is refused together is told different times.
		c.Response().Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(3)))
	}
	body, err := json.Marshal(p)
	if err != nil {
		c.Response().WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = c.Blob(p.Status, "application/problem+json", body) // where it fails nobody hears of it
}
