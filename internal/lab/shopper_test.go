package lab

import (
	"slices"
	"testing"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestLeadsTo(t *testing.T) {
	t.Parallel()
	all := []sale.State{
		sale.Queued, sale.Waitlisted, sale.Reserved, sale.Held, sale.Confirmed,
		sale.SoldOut, sale.Rejected, sale.Released, sale.Expired, sale.Returned,
	}
	reach := map[sale.State][]sale.State{
		sale.Queued: all[1:],
		sale.Waitlisted: {
			sale.Reserved, sale.Held, sale.Confirmed, sale.SoldOut, sale.Released, sale.Expired, sale.Returned,
		},
		sale.Reserved:  {sale.Held, sale.Confirmed, sale.Released, sale.Expired, sale.Returned},
		sale.Held:      {sale.Confirmed, sale.Released, sale.Expired, sale.Returned},
		sale.Confirmed: {sale.Returned},
	}
	for _, from := range all {
		for _, to := range all {
			if got, want := leadsTo(from, to), slices.Contains(reach[from], to); got != want {
				t.Errorf("%s leads to %s: %t, want %t", from, to, got, want)
			}
		}
	}
}
