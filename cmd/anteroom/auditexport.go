package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/export"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditExportCommand struct {
	Format    string  `enum:"ndjson,csv" default:"ndjson" help:"ndjson: records, decisions, counts and digests, all that is needed to decide again and compare. csv: a row for each decision. Default: ndjson."`
	Product   *string `placeholder:"PRODUCT" help:"Only the partition that this product belongs to, and as csv only what is about it."`
	Partition *int32  `placeholder:"N" help:"Only this partition."`
	From      *int64  `placeholder:"OFFSET" help:"From this offset on. Default: the first one."`
	To        *int64  `placeholder:"OFFSET" help:"Up to this offset, and without it. Default: all."`
	Output    *string `placeholder:"FILE" help:"The file to write, which is there once it is whole. Default: standard output."`
	auditLog
}

// Help is shown before the flags.
func (*auditExportCommand) Help() string {
	return "It needs the log alone. A snapshot serves only --from, up to which nothing is written. An ndjson export can be dropped onto the page that make replay builds, which decides it once more and compares. Buyers are pseudonyms in it, as in the log. Exit code 3: it could not be written whole."
}

func (c *auditExportCommand) Run(ctx context.Context, t terminal) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	if err := c.validate(); err != nil {
		return err
	}
	history, closeLog, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	defer boundMemory()()
	extents, err := c.extents(ctx, history)
	if err != nil {
		return err
	}
	write := func(to io.Writer) error {
		if c.Format == "csv" {
			return export.WriteTable(ctx, history, extents, sale.Product(orZero(c.Product)), to)
		}
		return export.Write(ctx, history, extents, programVersion(), to)
	}
	if c.Output == nil {
		return write(t.out)
	}
	return writeWhole(*c.Output, write)
}

func (c *auditExportCommand) validate() error {
	from, to := orZero(c.From), orZero(c.To)
	if err := checkProduct(c.Product); err != nil {
		return err
	}
	switch {
	case c.Product != nil && c.Partition != nil:
		return fmt.Errorf("%w: --product says which partition it is; leave --partition out", errMisuse)
	case from < 0 || to < 0 || orZero(c.Partition) < 0:
		return fmt.Errorf("%w: --partition, --from and --to are not below 0", errMisuse)
	case c.To != nil && to <= from:
		return fmt.Errorf("%w: --to must be above --from", errMisuse)
	case c.Output != nil && *c.Output == "":
		return fmt.Errorf("%w: --output needs a file's name", errMisuse)
	}
	return nil
}

// extents finds what is to be exported.
func (c *auditExportCommand) extents(ctx context.Context, history *audit.History) ([]audit.Extent, error) {
	var chosen []int32
	switch {
	case c.Partition != nil && *c.Partition >= history.Log.Partitions():
		return nil, fmt.Errorf("%w: the topic has %d partitions, from 0 on", errMisuse, history.Log.Partitions())
	case c.Partition != nil:
		chosen = []int32{*c.Partition}
	case c.Product != nil:
		partition, found, err := history.PartitionOf(ctx, sale.Product(*c.Product))
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("the log has no record of product %q", *c.Product)
		}
		chosen = []int32{partition}
	case (c.From != nil || c.To != nil) && history.Log.Partitions() > 1:
		return nil, fmt.Errorf("%w: the topic has %d partitions, each with offsets of its own; say which one with --partition or --product", errMisuse, history.Log.Partitions())
	}
	extents, err := history.Ends(ctx, chosen...)
	if err != nil || c.From == nil && c.To == nil {
		return extents, err
	}
	extent := &extents[0]
	for _, offset := range []*int64{c.From, c.To} {
		if offset != nil && sale.Offset(*offset) > extent.To {
			return nil, fmt.Errorf("%w: partition %d ends at offset %d, before %d", errMisuse, extent.Partition, extent.To, *offset)
		}
	}
	extent.From = sale.Offset(orZero(c.From))
	if c.To != nil {
		extent.To = sale.Offset(*c.To)
	}
	return extents, nil
}

// writeWhole makes a file that is there once it is whole: up to then it has
// another name, and is removed where writing fails.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("naming the file: %w", err)
	}
	return file.Close()
}

// programVersion names the program as it was built.
func programVersion() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := build.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				version += " " + setting.Value
			}
		}
	}
	return version
}
