package ingress

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
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
	holdLimit
	notConfirmed
	notOpen
	paused
	soldOut
	soldOutForGood
	over
	unknownSale
	saleClosed
	saleRetired
	quantityInUse
	staleVersion
	versionRequired
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
	holdLimit:         {http.StatusConflict, "hold_limit", "The hold lasts as long as its sale lets it"},
	notConfirmed:      {http.StatusConflict, "not_confirmed", "The request has no unit that is paid for"},
	notOpen:           {http.StatusConflict, "not_open", "The sale has not opened yet"},
	paused:            {http.StatusConflict, "paused", "The sale is paused"},
	soldOut:           {http.StatusConflict, "sold_out", "No unit is left now; one may come back"},
	soldOutForGood:    {http.StatusGone, "sold_out", "The sale is sold out"},
	over:              {http.StatusGone, "closed", "The sale is over"},
	unknownSale:       {http.StatusNotFound, "unknown_sale", "The log does not know the sale, or not any more"},
	saleClosed:        {http.StatusConflict, "sale_closed", "The sale is over"},
	saleRetired:       {http.StatusConflict, "sale_retired", "The sale closed long ago, and takes no commands any more"},
	quantityInUse:     {http.StatusConflict, "quantity_in_use", "More units are sold, held or reserved"},
	staleVersion:      {http.StatusPreconditionFailed, "stale_version", "The sale has been changed since"},
	versionRequired:   {http.StatusPreconditionRequired, "precondition_required", "The version that is to be changed is not named"},
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
	challenge  string        // of a 401: what would be accepted, as WWW-Authenticate says it
	opensAt    sale.Time     // of notOpen, where it is known
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
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch {
		case he.Code == http.StatusNotFound:
			return refuse(notFound, "")
		case he.Code == http.StatusMethodNotAllowed:
			return refuse(methodNotAllowed, "")
		case he.Code < http.StatusInternalServerError:
			return refuse(invalidRequest, "")
		}
	}
	i.log.Error("a call failed", "route", c.Path(), "error", err)
	return refuse(internalError, "")
}

// documents are what every document of a refusal begins and ends with. A crowd
// is refused with it, so it is written once.
var documents = func() (all [len(refusals)]struct{ head, tail string }) {
	for r, about := range refusals {
		quoted := func(text string) string { return string(quote(nil, text)) }
		all[r].head = `{"type":` + quoted("urn:anteroom:problem:"+about.code) + `,"title":` + quoted(about.title) +
			`,"status":` + strconv.Itoa(about.status)
		all[r].tail = `,"code":` + quoted(about.code) + "}\n"
	}
	return all
}()

// quote appends a text as JSON writes it.
func quote(to []byte, text string) []byte {
	to, _ = jsontext.AppendQuote(to, text) // it fails at invalid UTF-8, and has written it in a valid form then
	return to
}

// document appends a problem as RFC 9457 writes it.
func (p *problem) document(to []byte, instance string) []byte {
	to = append(to, documents[p.refusal].head...)
	if p.detail != "" {
		to = quote(append(to, `,"detail":`...), p.detail)
	}
	if instance != "" {
		to = quote(append(to, `,"instance":`...), instance)
	}
	if p.opensAt != 0 {
		to = quote(append(to, `,"opens_at":`...), timestamp(p.opensAt))
	}
	return append(to, documents[p.refusal].tail...)
}

// problemBytes are buffers of bodies.
var problemBytes = sync.Pool{New: func() any { return new([]byte) }}

func writeProblem(w http.ResponseWriter, p *problem, instance string) error {
	buffer := problemBytes.Get().(*[]byte)
	defer problemBytes.Put(buffer)
	*buffer = p.document((*buffer)[:0], instance)
	header := w.Header()
	header["Content-Type"] = problemType
	if p.retryAfter > 0 {
		header["Retry-After"] = []string{strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10)}
	}
	switch {
	case p.challenge != "":
		header.Set("WWW-Authenticate", p.challenge)
	case p.refusal == unauthorized:
		header.Set("WWW-Authenticate", askForToken)
	}
	w.WriteHeader(refusals[p.refusal].status)
	_, err := w.Write(*buffer)
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
