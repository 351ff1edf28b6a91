package saletest

import (
	"math"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// create draws a sale of the rules that the log's schema knows, seldom of
// others.
func (l *log) create(s step) sale.Create {
	c := sale.Create{Rules: sale.FirstRules, BuyerKey: "key-1", Actor: "operator", Reason: "a random sale"}
	later := l.state != nil && l.state.Schema() >= laterSchema && s.choice < 28
	if s.oddity == 7 {
		later = !later
	}
	c.Settings = firstSettings(s)
	if later {
		c.Rules = sale.NewestRules
		l.laterSettings(s, &c.Settings)
	}
	spoil(s, &c)
	first := sale.Settings{
		Quantity: c.Settings.Quantity, HoldSeconds: c.Settings.HoldSeconds, PerBuyerLimit: c.Settings.PerBuyerLimit,
		MaxQuantityPerRequest: c.Settings.MaxQuantityPerRequest, Policy: c.Settings.Policy,
	}
	c.Later = c.Settings != first // as it would be read
	return c
}

func firstSettings(s step) sale.Settings {
	limit := evenly(s.draw, []int64{1, 2, 2, 3, 3, 4})
	return sale.Settings{
		Quantity: evenly(s.draw, []int64{1, 1, 2, 2, 3, 3, 4, 6}), HoldSeconds: int64(1 + s.draw.IntN(3)), PerBuyerLimit: limit,
		MaxQuantityPerRequest: max(1, limit-int64(s.draw.IntN(2))), Policy: sale.PolicyQueue,
	}
}

func (l *log) laterSettings(s step, settings *sale.Settings) {
	settings.MaxHoldSeconds = settings.HoldSeconds + int64(s.draw.IntN(4))
	settings.Policy = evenly(s.draw, []sale.Policy{sale.PolicyWaitlist, sale.PolicyWaitlist, sale.PolicyWaitlist, sale.PolicyQueue, sale.PolicyReject})
	settings.WaitlistCapacity = evenly(s.draw, []int64{0, 1, 2, 3, 4, 6, 10})
	if s.draw.IntN(5) == 0 {
		settings.OpensAt = l.now + evenly(s.draw, []sale.Time{-1, 0, 1, 500, 1000, 6000, 15_000, 40_000})
	}
	if s.draw.IntN(5) == 0 {
		settings.ClosesAt = max(l.now, settings.OpensAt) + evenly(s.draw, []sale.Time{1, 1000, 5000, 20_000})
	}
	if s.draw.IntN(3) == 0 {
		settings.AdmitPerSecond = evenly(s.draw, []int64{0, 1, 1, 2, 3})
		settings.MaxActiveHolds = evenly(s.draw, []int64{0, 0, 1, 2})
	}
	if s.draw.IntN(3) == 0 {
		settings.CheckoutURL = "https://shop.example/checkout"
	}
}

// spoil makes a few creates such as no sale can be.
func spoil(s step, c *sale.Create) {
	settings := &c.Settings
	switch s.oddity {
	case 1:
		settings.Quantity = []int64{0, -1, sale.MaxQuantity, sale.MaxQuantity + 1, math.MaxInt64}[s.choice%5]
	case 2:
		settings.HoldSeconds = []int64{0, -1, sale.MaxHoldSeconds, sale.MaxHoldSeconds + 1, math.MaxInt64}[s.choice%5]
	case 3:
		c.Rules = []int{0, -1, sale.NewestRules + 1, math.MaxInt32}[s.choice%4]
	case 4:
		c.BuyerKey = []string{"", "a key", "\u00e4"}[s.choice%3]
	case 5:
		settings.MaxQuantityPerRequest = []int64{0, -1, settings.PerBuyerLimit + 1, math.MaxInt64}[s.choice%4]
	case 6:
		settings.Policy = []sale.Policy{"", "waitlist", "lottery"}[s.choice%3]
	case 8:
		spoilLater(s, settings)
	}
}

func spoilLater(s step, settings *sale.Settings) {
	number := []int64{-1, sale.MaxQuantity + 1, math.MaxInt64, math.MinInt64}[s.draw.IntN(4)]
	switch s.choice % 7 {
	case 0:
		settings.MaxHoldSeconds = []int64{-1, 0, settings.HoldSeconds - 1, sale.MaxHoldSeconds, sale.MaxHoldSeconds + 1}[s.draw.IntN(5)]
	case 1:
		settings.WaitlistCapacity = number
	case 2:
		settings.AdmitPerSecond = number
	case 3:
		settings.MaxActiveHolds = number
	case 4:
		settings.OpensAt = sale.Time(number)
	case 5:
		settings.ClosesAt = max(1, settings.OpensAt) - sale.Time(s.draw.IntN(2))
	case 6:
		settings.CheckoutURL = "https://shop.example/a checkout"
	}
}

// update changes one or two settings, mostly so that it can be.
func (l *log) update(s step) sale.Update {
	u := sale.Update{Sale: l.saleFor(s), Version: 1, Actor: "olga", Reason: "second thoughts"}
	of := l.sales[u.Sale]
	if s.choice < 26 {
		u.Version = of.Version
	}
	for range 1 + s.draw.IntN(2) {
		l.alter(s, of, &u.Change)
	}
	return u
}

func (l *log) alter(s step, of sale.Sale, change *sale.Change) {
	number := func(from ...int64) *int64 { return new(evenly(s.draw, from)) }
	at := func(from ...sale.Time) *sale.Time { return new(evenly(s.draw, from)) }
	switch s.draw.IntN(16) {
	case 0, 1, 2, 3:
		used := of.Quantity - of.Available
		change.Quantity = number(used-1, used, used, used+1, of.Quantity+1, of.Quantity+2, of.Quantity, of.Quantity-1)
	case 4:
		change.HoldSeconds = number(1, 2, 3, of.MaxHoldSeconds, of.MaxHoldSeconds+1)
	case 5:
		change.MaxHoldSeconds = number(of.HoldSeconds-1, of.HoldSeconds, of.HoldSeconds+1, of.HoldSeconds+5)
	case 6:
		change.PerBuyerLimit = number(of.MaxQuantityPerRequest, of.MaxQuantityPerRequest, 4, 1)
	case 7:
		change.MaxQuantityPerRequest = number(1, of.PerBuyerLimit, of.PerBuyerLimit+1)
	case 8:
		change.Policy = new(evenly(s.draw, []sale.Policy{sale.PolicyWaitlist, sale.PolicyQueue, sale.PolicyReject, "lottery"}))
	case 9:
		change.WaitlistCapacity = number(0, 1, 2, 5)
	case 10, 11:
		change.OpensAt = at(0, l.now-1, l.now, l.now+1, l.now+700, of.OpensAt+1000, of.OpensAt)
	case 12:
		change.ClosesAt = at(0, 0, l.now-1, l.now, l.now+1, l.now+1500, l.now+5000, l.now+30_000)
	case 13:
		change.AdmitPerSecond = number(0, 1, 2, 5)
	case 14:
		change.MaxActiveHolds = number(0, 1, 2, 3)
	case 15:
		change.CheckoutURL = new(evenly(s.draw, []string{"", "https://shop.example/pay", "not a url"}))
	}
}
