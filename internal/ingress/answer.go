package ingress

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// answers are buffers of bodies.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// writeJSON answers with a value.
func writeJSON(c echo.Context, code int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	writeBody(c, code, append(body, '\n'))
	return nil
}

// writeStatus answers as writeJSON does, for what a crowd is answered with.
func writeStatus(c echo.Context, code int, s *status) {
	buffer := answers.Get().(*[]byte)
	*buffer = append(s.appendJSON((*buffer)[:0]), '\n')
	writeBody(c, code, *buffer)
	answers.Put(buffer)
}

// writeBody answers with JSON. net/http says how long it is where it has all of
// it before it has to send any, as it has of every status.
func writeBody(c echo.Context, code int, body []byte) {
	response := c.Response()
	// A client that does not read holds its connection no longer than this.
	_ = http.NewResponseController(response.Writer).SetWriteDeadline(time.Now().Add(writeWait)) // none where there is no connection
	response.Header()["Content-Type"] = jsonType
	response.WriteHeader(code)
	_, _ = response.Write(body) // where it fails nobody hears of it
}

// appendJSON appends a status as encoding/json writes it.
func (s *status) appendJSON(to []byte) []byte {
	to = append(to, '{')
	if s.Ticket != "" {
		to = append(appendText(append(to, `"ticket":`...), s.Ticket), ',')
	}
	to = appendText(append(to, `"id":`...), s.ID)
	to = appendText(append(to, `,"product":`...), s.Product)
	to = strconv.AppendInt(append(to, `,"quantity":`...), s.Quantity, 10)
	to = appendText(append(to, `,"state":`...), string(s.State))
	if s.Position != nil {
		to = strconv.AppendInt(append(to, `,"position":`...), *s.Position, 10)
	}
	if s.ETASeconds != nil {
		to = strconv.AppendInt(append(to, `,"eta_seconds":`...), *s.ETASeconds, 10)
	}
	if s.Reason != "" {
		to = appendText(append(to, `,"reason":`...), string(s.Reason))
	}
	if s.ExpiresAt != "" {
		to = appendText(append(to, `,"expires_at":`...), s.ExpiresAt)
	}
	if s.CheckoutURL != "" {
		to = appendText(append(to, `,"checkout_url":`...), s.CheckoutURL)
	}
	to = appendText(append(to, `,"requested_at":`...), s.RequestedAt)
	if s.DecidedAt != "" {
		to = appendText(append(to, `,"decided_at":`...), s.DecidedAt)
	}
	to = appendText(append(to, `,"server_time":`...), s.ServerTime)
	to = strconv.AppendInt(append(to, `,"poll_after_ms":`...), s.PollAfter, 10)
	return append(to, '}')
}

// appendText appends a text as encoding/json writes it, which escapes more than
// JSON asks for.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // of a string it does not fail
			return append(to, quoted...)
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}
