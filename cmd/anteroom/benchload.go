package main

import (
	"context"
	"errors"
	"os"

	"github.com/anteroomhq/anteroom/internal/lab/load"
)

// benchLoadCommand is the load generator, in a process of its own: it reads
// phases from its input and writes what came of them.
type benchLoadCommand struct {
	profileSettings
}

func (c *benchLoadCommand) Run(ctx context.Context, t terminal) (err error) {
	spendMemory(fastGOGC)
	stop, err := c.start("generator")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return load.Run(ctx, os.Stdin, t.out)
}
