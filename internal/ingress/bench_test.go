package ingress

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// sellOut opens a sale of one unit, and sells it for good.
func (w *world) sellOut(product sale.Product) {
	w.openSale(product, nil)
	of := sale.Offset(w.entries(0) - 1)
	w.record(0, product, sale.Buy{Sale: of, Buyer: "somebody", Quantity: 1})
	w.record(0, product, sale.Confirm{Request: of + 1, PaymentReference: "p"})
	w.decide(0)
}

// fastLog acknowledges at once and keeps nothing.
type fastLog struct {
	*world
	next sale.Offset
}

func (l *fastLog) Append(_ int32, _, _ []byte, done func(sale.Offset, error)) error {
	l.next++
	done(l.next, nil)
	return nil
}

// fastGate lets everybody in.
type fastGate struct{ *fakeGate }

func (g fastGate) Admit(ask Ask, asker Asker) { asker.Admitted(g.answer(ask)) }

func (fastGate) Remember(_ Ask, _ Hint, done func()) { done() }

// nowhere is a client that looks at nothing.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkCalls measures what an ingress adds to a call, as a multiple of an
// echo handler that does nothing.
func BenchmarkCalls(b *testing.B) {
	w := newWorld()
	w.openSale("shirt", nil)
	w.sellOut("gone")
	w.decide(1)
	i := w.ingressOf(b, func(c *Config) {
		c.Log = &fastLog{world: w, next: 10}
		c.Gate = fastGate{newFakeGate()}
	})
	s := i.buys(b, "ada")
	idle := echo.New()
	idle.GET("/queue/:ticket", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	measure := func(handler http.Handler, request func(n int) *http.Request) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			requests := make([]*http.Request, b.N)
			for n := range requests {
				requests[n] = request(n)
			}
			b.ResetTimer()
			for _, r := range requests {
				handler.ServeHTTP(nowhere{http.Header{}}, r)
			}
		}
	}
	poll := func(int) *http.Request { return request("GET", "/queue/"+s.Ticket, "", nil) }
	var base float64 // ns of a call that does nothing
	b.Run("nothing", func(b *testing.B) {
		measure(idle, poll)(b)
		base = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	})
	for name, c := range map[string]func(int) *http.Request{
		"poll": poll,
		"buy": func(n int) *http.Request {
			return request("POST", "/v1/products/shirt/buy", "", as("buyer"+strconv.Itoa(n)))
		},
		"buy with a body": func(n int) *http.Request {
			return request("POST", "/v1/products/shirt/buy", `{"quantity":1}`, as(fmt.Sprint("other", n)))
		},
		"sold out": func(n int) *http.Request {
			return request("POST", "/v1/products/gone/buy", "", as("buyer"+strconv.Itoa(n)))
		},
		"sold out with a body": func(n int) *http.Request {
			return request("POST", "/v1/products/gone/buy", `{"quantity":1}`, as("buyer"+strconv.Itoa(n)))
		},
	} {
		b.Run(name, func(b *testing.B) {
			measure(i.Handler(), c)(b)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/base, "x-of-nothing")
		})
	}
}
