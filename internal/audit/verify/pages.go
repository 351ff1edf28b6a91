package verify

import (
	"context"

	"github.com/anteroomhq/anteroom/internal/audit"
)

// pages gives the rows of a query one by one.
type pages[Row any] struct {
	rows audit.Rows[Row]
	read func(Row) error // hears of each row that was read; nil: nobody
	page []Row
	over bool
}

// head gives the next row, or nil where there is none. It stays until it is
// taken.
func (p *pages[Row]) head(ctx context.Context) (*Row, error) {
	if len(p.page) > 0 {
		return &p.page[0], nil
	}
	if p.over {
		return nil, nil
	}
	page, err := p.rows.Page(ctx)
	if err != nil {
		return nil, err
	}
	if p.read != nil {
		for i := range page {
			if err := p.read(page[i]); err != nil {
				return nil, err
			}
		}
	}
	if p.page = page; len(page) == 0 {
		p.over = true
		return nil, nil
	}
	return &p.page[0], nil
}

// take takes the head away.
func (p *pages[Row]) take() { p.page = p.page[1:] }
