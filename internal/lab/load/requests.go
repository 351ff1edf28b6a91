package load

import (
	"strconv"
	"time"
)

// requests writes what is sent, into a buffer that is used again. One writer
// serves one goroutine.
type requests struct {
	host   string
	phase  *Phase
	buffer []byte
}

func (r *requests) begin(method, path string) {
	r.buffer = append(r.buffer[:0], method...)
	r.buffer = append(r.buffer, ' ')
	r.buffer = append(r.buffer, path...)
}

func (r *requests) text(texts ...string) {
	for _, text := range texts {
		r.buffer = append(r.buffer, text...)
	}
}

// version ends the request's line.
func (r *requests) version() { r.text(" HTTP/1.1\r\nHost: ", r.host, "\r\n") }

// end ends a head without a body.
func (r *requests) end() []byte {
	r.text("\r\n")
	return r.buffer
}

// json ends a request with a body.
func (r *requests) json(body string) []byte {
	r.text("Content-Type: application/json\r\nContent-Length: ")
	r.buffer = strconv.AppendInt(r.buffer, int64(len(body)), 10)
	r.text("\r\n\r\n", body)
	return r.buffer
}

// page asks for what is known of a product.
func (r *requests) page(number int) []byte {
	r.begin("GET", "/v1/products/")
	r.text(r.phase.Products[number%len(r.phase.Products)])
	r.version()
	return r.end()
}

func (r *requests) buy(number int) []byte {
	r.begin("POST", "/v1/products/")
	r.text(r.phase.Products[number%len(r.phase.Products)], "/buy")
	r.version()
	r.text("X-Buyer-ID: ", r.phase.Crowd, "-")
	r.buffer = strconv.AppendInt(r.buffer, int64(number), 10)
	r.text("\r\n")
	if r.phase.Quantity > 0 {
		return r.json(`{"quantity":` + strconv.Itoa(r.phase.Quantity) + `}`)
	}
	r.text("Content-Length: 0\r\n")
	return r.end()
}

// ask asks for a ticket's status: at once, or with wait when it has changed.
func (r *requests) ask(ticket, etag string, wait time.Duration) []byte {
	r.begin("GET", "/queue/")
	r.text(ticket)
	if wait > 0 {
		r.text("?wait=", wait.String())
	}
	r.version()
	if etag != "" {
		r.text("If-None-Match: ", etag, "\r\n")
	}
	return r.end()
}

func (r *requests) confirm(ticket, reference string) []byte {
	r.begin("POST", "/v1/holds/")
	r.text(ticket, "/confirm")
	r.version()
	r.text("Authorization: Bearer ", r.phase.MerchantToken, "\r\n")
	return r.json(`{"payment_reference":` + strconv.Quote(reference) + `}`)
}

// reference names the payment of a buyer, the same at every try.
func (r *requests) reference(number int) string {
	return "payment-" + r.phase.Crowd + "-" + strconv.Itoa(number)
}

func (r *requests) abandon(ticket string) []byte {
	r.begin("DELETE", "/queue/")
	r.text(ticket)
	r.version()
	return r.end()
}

// upgrade asks for a WebSocket that begins after what a marker has seen.
func (r *requests) upgrade(ticket, after, key string) []byte {
	r.begin("GET", "/queue/")
	r.text(ticket, "/ws")
	if after != "" {
		r.text("?after=", after)
	}
	r.version()
	r.text("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ", key, "\r\n")
	return r.end()
}
