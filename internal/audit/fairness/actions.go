package fairness

import (
	"cmp"
	"strconv"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Results of actions that no code stands for.
const (
	resultDone      = "done"
	resultAlreadySo = "already_so"
)

// act notes what an operator did to the sale, or tried to.
func (t *tally) act(record *sale.Record, result *sale.Result) {
	action := Action{Offset: record.Offset, Time: event.Instant(result.Time)}
	changed := true
	switch body := record.Body.(type) {
	case sale.Create:
		action.Action, action.Actor, action.Reason = "sale.create", body.Actor, body.Reason
	case sale.Update:
		action.Action, action.Actor, action.Reason = "sale.update", body.Actor, body.Reason
		changed = t.now.Version != t.before.Version
		action.Changes = settingsChanged(t.before.Settings, t.now.Settings)
	case sale.Pause:
		action.Action, action.Actor, action.Reason = "sale.pause", body.Actor, body.Reason
		changed = t.before.Stage != sale.StagePaused && t.now.Stage == sale.StagePaused
	case sale.Resume:
		action.Action, action.Actor, action.Reason = "sale.resume", body.Actor, body.Reason
		changed = t.before.Stage == sale.StagePaused && t.now.Stage != sale.StagePaused
	case sale.Close:
		action.Action, action.Actor, action.Reason = "sale.close", body.Actor, body.Reason
		changed = t.before.Stage != t.now.Stage
	default:
		return // a shop's or a shopper's command
	}
	switch {
	case result.Code != sale.CodeDone:
		action.Result = string(result.Code)
	case changed:
		action.Result = resultDone
	default:
		action.Result = resultAlreadySo
	}
	if len(t.actions) == maxListed {
		t.unlisted++
		return
	}
	t.actions = append(t.actions, action)
}

// setting is a setting as a reader sees it.
type setting struct{ name, value string }

// settingsInOrder gives all settings under the names that the log has for them.
func settingsInOrder(s sale.Settings) []setting {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	at := func(t sale.Time, never string) string {
		if t == 0 {
			return never
		}
		return event.Instant(t).String()
	}
	return []setting{
		{"quantity", number(s.Quantity)},
		{"hold_seconds", number(s.HoldSeconds)},
		{"max_hold_seconds", number(s.MaxHoldSeconds)},
		{"per_buyer_limit", number(s.PerBuyerLimit)},
		{"max_quantity_per_request", number(s.MaxQuantityPerRequest)},
		{"policy", string(s.Policy)},
		{"waitlist_capacity", number(s.WaitlistCapacity)},
		{"opens_at", at(s.OpensAt, "at once")},
		{"closes_at", at(s.ClosesAt, "never")},
		{"admit_per_second", number(s.AdmitPerSecond)},
		{"max_active_holds", number(s.MaxActiveHolds)},
		{"checkout_url", cmp.Or(s.CheckoutURL, "none")},
	}
}

func settingsChanged(from, to sale.Settings) []Setting {
	var changes []Setting
	was := settingsInOrder(from)
	for i, is := range settingsInOrder(to) {
		if is.value != was[i].value {
			changes = append(changes, Setting{Setting: is.name, From: was[i].value, To: is.value})
		}
	}
	return changes
}
