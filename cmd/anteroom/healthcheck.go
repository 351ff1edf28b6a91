package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// healthcheckCommand serves containers, whose image has no shell.
type healthcheckCommand struct {
	URL string `default:"http://127.0.0.1:9090/readyz" help:"What to ask."`
}

func (c *healthcheckCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking for health: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s answered %s", errFalse, c.URL, response.Status)
	}
	return nil
}
