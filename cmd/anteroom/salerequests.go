package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type saleRequestsCommand struct {
	latestSale
	State *string `enum:"queued,reserved,held,confirmed,waitlisted,sold_out,rejected,released,expired,returned" placeholder:"STATE" help:"Only those in this state: queued, reserved, held, confirmed, waitlisted, sold_out, rejected, released, expired or returned."`
	Limit int     `default:"100" placeholder:"N" help:"List so many at most. Default: 100."`
	All   bool    `help:"List all of them, however many."`
	After string  `placeholder:"ID" help:"List those that came after the request with this id."`
	apiSettings
}

// Help is shown before the flags.
func (*saleRequestsCommand) Help() string {
	return "They are listed in the order of the log. Those that were told what the sale tells everybody after its last unit have no row: show counts them. With --json each is an object on a line of its own."
}

// requestPage is how many requests one call asks for, and one block of the
// table holds.
const requestPage = 1000

func (c *saleRequestsCommand) Run(ctx context.Context, t terminal) error {
	if c.Limit < 1 {
		return fmt.Errorf("%w: --limit must be at least 1", errMisuse)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	list := &requestList{t: t, json: c.JSON}
	query := client.RequestQuery{State: sale.State(orZero(c.State)), After: c.After, Limit: requestPage}
	if !c.All {
		query.Limit = min(c.Limit+1, requestPage) // is there one more?
	}
	last := c.After
	for request, err := range api.AllRequests(ctx, c.Product, query) {
		if err != nil {
			if flushed := list.flush(); flushed != nil {
				return flushed
			}
			if last != "" {
				return fmt.Errorf("listing requests after %s: %w", last, err)
			}
			return fmt.Errorf("listing requests: %w", err)
		}
		if !c.All && list.count == c.Limit {
			if err := list.flush(); err != nil {
				return err
			}
			fmt.Fprintf(t.err, "There are more: --all lists them, --after %s goes on.\n", last)
			return nil
		}
		if err := list.add(&request); err != nil {
			return err
		}
		last = request.ID
	}
	return list.end()
}

// requestList prints requests while they come, in bounded memory.
type requestList struct {
	t     terminal
	json  bool
	count int
	block table.Writer // what is not printed yet; nil for nothing
}

func (l *requestList) add(r *client.Request) error {
	l.count++
	if l.json {
		return printJSONLine(l.t, r)
	}
	if l.block == nil {
		l.begin()
	}
	l.block.AppendRow(table.Row{
		r.ID, r.State, visible(string(r.Reason)), r.Quantity, timeText(r.RequestedAt), timeText(r.DecidedAt), visible(r.PaymentReference), r.First,
	})
	if l.block.Length() == requestPage {
		return l.flush()
	}
	return nil
}

// begin begins a block. The columns of all blocks are as wide as what they
// usually hold, so that they stand below each other.
func (l *requestList) begin() {
	l.block = newTable()
	columns := []struct {
		name  string
		width int
	}{{"REQUEST", 12}, {"STATE", 10}, {"REASON", 14}, {"QUANTITY", 8}, {"REQUESTED", 20}, {"DECIDED", 20}, {"PAYMENT", 16}, {"FIRST", 0}}
	header := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, column := range columns {
		header[i] = column.name
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMin: column.width, Align: text.AlignLeft, AlignHeader: text.AlignLeft}
		if column.name == "QUANTITY" {
			configs[i].Align = text.AlignRight
		}
	}
	l.block.SetColumnConfigs(configs)
	if l.count <= 1 {
		l.block.AppendHeader(header)
	}
}

// flush prints the block.
func (l *requestList) flush() error {
	if l.block == nil {
		return nil
	}
	block := l.block
	l.block = nil
	return printTable(l.t.out, block)
}

// end prints what is left, and a header where there was nothing.
func (l *requestList) end() error {
	if l.count == 0 && !l.json {
		l.begin()
	}
	return l.flush()
}
