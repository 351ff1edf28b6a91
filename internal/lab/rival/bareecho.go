package rival

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Canned is an answer that is known beforehand. A Content-Type in Header is the
// body's.
type Canned struct {
	Status int
	Header map[string]string
	Body   string
}

func validateCanned(canned map[string]Canned) error {
	if len(canned) == 0 {
		return errors.New("rival: bare_echo has nothing to answer")
	}
	for route, answer := range canned {
		if route != BuyRoute && route != QueueRoute {
			return fmt.Errorf("rival: bare_echo answers %q and %q, not %q", BuyRoute, QueueRoute, route)
		}
		if answer.Status < 200 || answer.Status > 599 {
			return fmt.Errorf("rival: bare_echo is to answer %q with status %d", route, answer.Status)
		}
	}
	return nil
}

// cannedHandler is what any user of echo would write who has nothing to do but
// to answer.
func cannedHandler(canned map[string]Canned) http.Handler {
	e := echo.New()
	for route, answer := range canned {
		method, path, _ := strings.Cut(route, " ")
		e.Add(method, path, cannedCall(answer, method == http.MethodPost))
	}
	return e
}

func cannedCall(answer Canned, needsBuyer bool) echo.HandlerFunc {
	body := []byte(answer.Body)
	contentType := "application/json"
	header := make(map[string]string, len(answer.Header))
	for name, value := range answer.Header {
		if http.CanonicalHeaderKey(name) == echo.HeaderContentType {
			contentType = value
			continue
		}
		header[name] = value
	}
	return func(c echo.Context) error {
		if needsBuyer && c.Request().Header.Get("X-Buyer-ID") == "" {
			return c.NoContent(http.StatusUnauthorized)
		}
		if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
			return c.NoContent(http.StatusBadRequest)
		}
		for name, value := range header {
			c.Response().Header().Set(name, value)
		}
		return c.Blob(answer.Status, contentType, body)
	}
}
