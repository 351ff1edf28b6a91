// Command services starts and stops the real backends that tests run on: Apache
// Kafka, Redis and Postgres, as processes that outlive the command, on free
// loopback ports.
//
//	go run ./internal/devstack/services up
//	go run ./internal/devstack/services status
//	go run ./internal/devstack/services down
//	go run ./internal/devstack/services fetch
//
// Everything is in .services beside go.mod: the jars, which down keeps, the
// data, which it removes, and env, a file for the shell with the addresses,
// which tests also find by themselves.
//
// fetch brings the broker's jars and starts nothing.
//
// Exit codes: 0 done; 1 (of status) they do not run; 2 wrong use; 3 could not do
// it, because something is not installed or did not start.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errNotRunning):
		fmt.Println(err)
		os.Exit(1)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(3)
	}
}

var (
	errUsage      = errors.New("usage: services up|status|down|fetch")
	errNotRunning = errors.New("not running")
)

func run(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errUsage
	}
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	s := services{module: module, folder: filepath.Join(module, ".services")}
	switch arguments[0] {
	case "up":
		return s.up(ctx)
	case "status":
		return s.status()
	case "down":
		return s.down(ctx)
	case "fetch":
		return s.fetchKafka(ctx)
	default:
		return errUsage
	}
}

// moduleRoot is the nearest folder with a go.mod, from here upwards.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("finding the module: no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
}
