package devstack

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// clockInterval is how exactly an in-process Redis keeps time.
const clockInterval = 10 * time.Millisecond

// MiniRedisConfig says how an in-process Redis runs.
type MiniRedisConfig struct {
	Port int // 0: a free one
}

// MiniRedis is an in-process Redis, which speaks the real protocol on a
// loopback port. Its keys expire by the wall clock, as a real server's do. Data
// is in memory: it survives Stop and Restart, and ends with Close.
type MiniRedis struct {
	URL string // redis://127.0.0.1:port/0

	mu     sync.Mutex // held while the server is started or ended
	server *miniredis.Miniredis
	halt   func() // ends the clock; nil while the server is down
}

// StartMiniRedis starts an in-process Redis.
func StartMiniRedis(config MiniRedisConfig) (*MiniRedis, error) {
	r := &MiniRedis{}
	err := withPort(config.Port, func(port int) error {
		server := miniredis.NewMiniRedis()
		if err := server.StartAddr(loopback(port)); err != nil {
			return fmt.Errorf("starting the in-process redis: %w", err)
		}
		server.ClockTTL(true)
		r.server, r.URL = server, redisURL(port)
		r.halt = keepTime(server)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Stop ends the server and closes its connections.
func (r *MiniRedis) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halt != nil {
		r.halt()
		r.halt = nil
		r.server.Close()
	}
	return nil
}

// Restart starts the server again on the same port with the same data.
func (r *MiniRedis) Restart(context.Context) error {
	if err := r.Stop(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.server.Restart(); err != nil {
		return fmt.Errorf("restarting the in-process redis: %w", err)
	}
	r.halt = keepTime(r.server)
	return nil
}

// keepTime moves the server's clock and returns what ends that. With the time
// of the machine, miniredis would go through all of its keys, sorted, at every
// command; with a clock that stands still in between it does so once per move.
// As that takes a second for a million keys, moves are no more than a tenth of
// the time.
func keepTime(server *miniredis.Miniredis) (halt func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	server.SetTime(time.Now())
	go func() {
		defer close(stopped)
		pause := clockInterval
		for {
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
			began := time.Now()
			server.SetTime(began)
			server.Exists("") // any access makes the move
			pause = max(clockInterval, 9*time.Since(began))
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// Close ends the server for good.
func (r *MiniRedis) Close() error { return r.Stop() }
