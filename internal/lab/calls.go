package lab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

const callTimeout = 10 * time.Second

// errNoAnswer means that a call may have had its effect or not.
var errNoAnswer = errors.New("no answer")

// answer is what a call brought: a status, or a problem's code.
type answer struct {
	code       int // HTTP status
	status     status
	etag       string
	problem    string
	retryAfter time.Duration
}

// caller makes the calls of shoppers and merchants. It is safe for many
// goroutines.
type caller struct {
	client *fasthttp.HostClient
	config Config
}

func newCaller(config Config) *caller {
	return &caller{config: config, client: &fasthttp.HostClient{
		Addr:                      strings.Join(config.Addresses, ","),
		MaxConns:                  config.Connections + 1,
		MaxIdleConnDuration:       time.Minute,
		ReadTimeout:               callTimeout,
		WriteTimeout:              callTimeout,
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true,
		MaxIdemponentCallAttempts: 1, // a click that is sent twice is this package's decision
	}}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

func (c *caller) buy(buyer string) (answer, error) {
	return c.do("POST", "/v1/products/"+c.config.Product+"/buy", func(r *fasthttp.Request) {
		r.Header.Set("X-Buyer-ID", buyer)
	})
}

func (c *caller) ask(ticket, etag string) (answer, error) {
	return c.do("GET", "/queue/"+ticket, func(r *fasthttp.Request) {
		if etag != "" {
			r.Header.Set("If-None-Match", etag)
		}
	})
}

func (c *caller) confirm(ticket, reference string) (answer, error) {
	return c.do("POST", "/v1/holds/"+ticket+"/confirm", func(r *fasthttp.Request) {
		r.Header.Set("Authorization", "Bearer "+c.config.MerchantToken)
		r.Header.SetContentType("application/json")
		r.SetBodyString(`{"payment_reference":` + strconv.Quote(reference) + `}`)
	})
}

// line asks how many are undecided.
func (c *caller) line() (int64, error) {
	var product struct {
		Line int64 `json:"line"`
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI("http://" + c.config.Addresses[0] + "/v1/products/" + c.config.Product)
	if err := c.client.DoTimeout(request, response, callTimeout); err != nil {
		return 0, fmt.Errorf("asking for the line: %w", err)
	}
	if err := json.Unmarshal(response.Body(), &product); err != nil {
		return 0, fmt.Errorf("reading the line: %w", err)
	}
	return product.Line, nil
}

func (c *caller) do(method, path string, prepare func(*fasthttp.Request)) (answer, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(method)
	request.SetRequestURI("http://" + c.config.Addresses[0] + path) // HostClient chooses the address itself
	prepare(request)

	if err := c.client.DoTimeout(request, response, callTimeout); err != nil {
		return answer{}, fmt.Errorf("%s: %w: %w", method, errNoAnswer, err)
	}
	a := answer{code: response.StatusCode(), etag: string(response.Header.Peek("ETag"))}
	if seconds, err := strconv.Atoi(string(response.Header.Peek("Retry-After"))); err == nil {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	switch a.code {
	case fasthttp.StatusOK, fasthttp.StatusAccepted:
		if err := json.Unmarshal(response.Body(), &a.status); err != nil || a.status.State == sale.State("") {
			return answer{}, fmt.Errorf("%s: %w: %d with an unreadable status", method, errNoAnswer, a.code)
		}
	case fasthttp.StatusNotModified:
	default:
		var problem struct {
			Code string `json:"code"`
		}
		if err := json.Unmarshal(response.Body(), &problem); err != nil || problem.Code == "" {
			problem.Code = "http_" + strconv.Itoa(a.code)
		}
		a.problem = problem.Code
	}
	return a, nil
}
