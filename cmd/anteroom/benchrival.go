package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/lab/rival"
)

// benchRivalCommand serves one of the rivals, in a process of its own, with the
// same limits as anteroom's server.
type benchRivalCommand struct {
	Config string `required:"" help:"The rival, as JSON."`
	Listen string `default:"127.0.0.1:0" help:"Address to listen at."`
	profileSettings
	logSettings
}

// rivalReport is what a rival says of itself at /report, beside its shop.
type rivalReport struct {
	Settings []rival.Setting `json:"settings"`
	Tally    rival.Tally     `json:"tally"`
}

func (c *benchRivalCommand) Run(ctx context.Context, t terminal) (err error) {
	var config rival.Config
	if err := json.Unmarshal([]byte(c.Config), &config, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: --config: %w", errMisuse, err)
	}
	if err := config.Validate(); err != nil {
		return fmt.Errorf("%w: --config: %w", errMisuse, err)
	}
	spendMemory(fastGOGC)
	stop, err := c.start("rival-" + string(config.Kind))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	served, err := rival.New(ctx, config)
	if err != nil {
		return fmt.Errorf("preparing the rival: %w", err)
	}
	defer served.Close()
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	handler, logger := reportBeside(config.Kind, served), c.logger(t)
	var by server = newServer(handler, logger)
	if config.AsAnteroom {
		if by, err = newPublicServer(handler, logger); err != nil {
			return err
		}
	}
	return serveUntil(ctx, by, listener)
}

// reportBeside serves the rival, and its report.
func reportBeside(kind rival.Kind, served *rival.Rival) http.Handler {
	shop := served.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/report" {
			shop.ServeHTTP(w, r)
			return
		}
		told := rivalReport{Settings: served.Settings()}
		if kind != rival.BareEcho { // which sells nothing
			var err error
			if told.Tally, err = served.Tally(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		body, err := json.Marshal(told)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(body)
	})
}

// serveUntil serves until ctx is done, and then ends in order.
func serveUntil(ctx context.Context, server server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close() // the generator has gone, and its connections may idle
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
