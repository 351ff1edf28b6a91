package ingress

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// showTicket is GET /queue/{ticket}. With ?wait= it answers once the status
// differs, in more than its position, from what the client has, which is what
// If-None-Match names; or when the time is over. A client that names nothing is
// answered at once, unless the request waits for its turn as yet.
func (i *Ingress) showTicket(c echo.Context) error {
	of, err := i.claimOf(c.Param("ticket"))
	if err != nil {
		return err
	}
	wait, err := waitOf(c.Request().URL)
	if err != nil {
		return err
	}
	seen := i.readTags(of.text, c.Request())
	if seen.final {
		// It has seen the end, and that never changes.
		c.Response().Header()["Etag"] = []string{tagOf(seen.text)}
		return c.NoContent(http.StatusNotModified)
	}
	_ = i.catchUp(c.Request().Context(), of.Partition, seen.watermark)

	now, err := i.show(c.Request().Context(), &of, seen)
	if err != nil {
		return err
	}
	if wait > 0 && now.status.PollAfter > 0 && now.hasNoNewsFor(&seen) {
		if now, err = i.await(c.Request().Context(), &of, seen, now.fingerprint, wait); err != nil {
			return err
		}
	}
	c.Response().Header()["Etag"] = []string{now.tag(i)}
	if seen.fingerprint != "" && seen.same(&now) {
		return c.NoContent(http.StatusNotModified)
	}
	writeStatus(c, http.StatusOK, &now.status)
	return nil
}

// hasNoNewsFor reports whether a client that waits has to wait for more than
// this.
func (s *shown) hasNoNewsFor(seen *marker) bool {
	if seen.fingerprint != "" {
		return seen.sameButPosition(s)
	}
	switch s.status.State {
	case sale.Queued, sale.Waitlisted, sale.Reserved:
		return true
	case sale.Held:
		return s.status.ExpiresAt == "" // it begins in a moment
	case sale.SoldOut, sale.Rejected, sale.Released, sale.Confirmed, sale.Expired, sale.Returned:
	}
	return false
}

// waitOf reads ?wait=, a duration as Go writes it; longer ones are cut.
func waitOf(of *url.URL) (time.Duration, error) {
	if of.RawQuery == "" {
		return 0, nil
	}
	query, err := url.ParseQuery(of.RawQuery)
	if err != nil {
		return 0, refuse(invalidRequest, "the query cannot be read")
	}
	text := query.Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, refuse(invalidRequest, "wait must be a duration like 20s")
	}
	return min(wait, longestWait), nil
}

// await waits until the status has another fingerprint, the time is over, the
// client leaves or the ingress drains, and gives the status then.
func (i *Ingress) await(ctx context.Context, of *claim, seen marker, fingerprint string, wait time.Duration) (shown, error) {
	if err := i.streams.enter(longPoll); err != nil {
		return shown{}, err
	}
	defer i.streams.leave(longPoll)
	// Watched before it is looked at again, so nothing is missed in between.
	watch := i.board.Watch(of.Partition, sale.Offset(of.Offset))
	defer watch.Close()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for over := false; ; {
		now, err := i.show(ctx, of, seen)
		if err != nil || over || now.fingerprint != fingerprint {
			return now, err
		}
		select {
		case <-watch.C:
		case <-timer.C:
			over = true
		case <-i.drain.over:
			over = true
		case <-ctx.Done():
			return now, nil
		}
	}
}
