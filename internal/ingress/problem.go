package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// refusal is a reason for which a call is not done.
type refusal uint8

// The refusals.
const (
	invalidRequest refusal = iota
	buyerRequired
	unauthorized
	notEnabled
	notFound
	unknownProduct
	unknownTicket
	unknownRequest
	methodNotAllowed
	alreadyOpen
	boundElsewhere
	differentQuantity
	notHeld
	holdExpired
	otherPayment
	soldOutForGood
	tooLarge
	upgradeRequired
	rateLimited
	internalError
	unavailable
)

// refusals is the only table from a code to its HTTP status.
var refusals = [...]struct {
	status int
	code   string
	title  string
}{
	invalidRequest:    {http.StatusBadRequest, "invalid_request", "The request cannot be understood"},
	buyerRequired:     {http.StatusUnauthorized, "buyer_required", "It is not known who buys"},
	unauthorized:      {http.StatusUnauthorized, "unauthorized", "The call needs a valid bearer token"},
	notEnabled:        {http.StatusForbidden, "not_enabled", "The call is off: no token is set for it"},
	notFound:          {http.StatusNotFound, "not_found", "There is no such resource"},
	unknownProduct:    {http.StatusNotFound, "unknown_product", "The product is not on sale"},
	unknownTicket:     {http.StatusNotFound, "unknown_ticket", "The ticket is not valid"},
	unknownRequest:    {http.StatusNotFound, "unknown_request", "There is no such hold"},
	methodNotAllowed:  {http.StatusMethodNotAllowed, "method_not_allowed", "The resource does not have this method"},
	alreadyOpen:       {http.StatusConflict, "already_open", "The product has an open sale"},
	boundElsewhere:    {http.StatusConflict, "other_partition", "The product belongs to another partition"},
	differentQuantity: {http.StatusConflict, "different_quantity", "The buyer has a request for another quantity"},
	notHeld:           {http.StatusConflict, "not_held", "The request has no hold"},
	holdExpired:       {http.StatusConflict, "hold_expired", "The hold has expired"},
	otherPayment:      {http.StatusConflict, "other_payment", "The hold is confirmed with another payment"},
	soldOutForGood:    {http.StatusGone, "sold_out", "The sale is sold out"},
	tooLarge:          {http.StatusRequestEntityTooLarge, "too_large", "The request is too large"},
	upgradeRequired:   {http.StatusUpgradeRequired, "upgrade_required", "The call is a WebSocket"},
	rateLimited:       {http.StatusTooManyRequests, "rate_limited", "Too many clicks"},
	internalError:     {http.StatusInternalServerError, "internal", "The service made a mistake"},
	unavailable:       {http.StatusServiceUnavailable, "unavailable", "The service cannot tell now"},
}

func (r refusal) code() string { return refusals[r].code }

// problem is an error that is an answer. Every call that is not done returns
// one; any other error is answered as internalError.
type problem struct {
	refusal    refusal
	detail     string        // for people; says nothing of tickets, buyers or tokens
	retryAfter time.Duration // above 0 where waiting helps
}

func (p *problem) Error() string { return refusals[p.refusal].code + ": " + p.detail }

func refuse(r refusal, detail string) *problem { return &problem{refusal: r, detail: detail} }

func refusef(r refusal, format string, arguments ...any) *problem {
	return &problem{refusal: r, detail: fmt.Sprintf(format, arguments...)}
}

// cannotTell refuses for a reason that passes. A crowd that is refused in the
// same moment is told different times to come back.
func cannotTell(detail string) *problem {
	return &problem{refusal: unavailable, detail: detail, retryAfter: time.Second + rand.N(2*time.Second)}
}

// document is a problem as RFC 9457 writes it.
type document struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"`
	Code     string `json:"code"`
}

// answerError is where every error of a call becomes its answer, echo's own
// among them.
func (i *Ingress) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return // a stream, or an answer that was cut
	}
	p := i.problemOf(err, c)
	if werr := writeProblem(c.Response(), p, instance(c)); werr != nil {
		i.log.Debug("a problem was not delivered", "route", c.Path(), "error", werr)
	}
}

func (i *Ingress) problemOf(err error, c echo.Context) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch {
		case he.Code == http.StatusNotFound:
			return refuse(notFound, "")
		case he.Code == http.StatusMethodNotAllowed:
			return refuse(methodNotAllowed, "")
		case he.Code == http.StatusRequestEntityTooLarge:
			return refuse(tooLarge, "")
		case he.Code < http.StatusInternalServerError:
			return refuse(invalidRequest, "")
		}
	}
	i.log.Error("a call failed", "route", c.Path(), "error", err)
	return refuse(internalError, "")
}

func writeProblem(w http.ResponseWriter, p *problem, instance string) error {
	about := refusals[p.refusal]
	body, err := json.Marshal(document{
		Type: "urn:anteroom:problem:" + about.code, Title: about.title, Status: about.status,
		Detail: p.detail, Instance: instance, Code: about.code,
	})
	if err != nil {
		return fmt.Errorf("encoding a problem: %w", err)
	}
	header := w.Header()
	header["Content-Type"] = problemType
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
	}
	if about.status == http.StatusUnauthorized && p.refusal != buyerRequired {
		header.Set("WWW-Authenticate", `Bearer realm="anteroom"`)
	}
	w.WriteHeader(about.status)
	_, err = w.Write(append(body, '\n'))
	return err
}

// instance is the path of the call, where that cannot hold a ticket.
func instance(c echo.Context) string {
	route := c.Path()
	if (strings.HasPrefix(route, "/v1/products/") || strings.HasPrefix(route, "/v1/sales")) && len(c.Request().URL.Path) <= maxInstance {
		return c.Request().URL.EscapedPath()
	}
	return ""
}

const maxInstance = 128
