package redis

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	options, err := parse("rediss://ann:pass%2Fword@cache.internal:6380/3?read_timeout=2s")
	check(t, err)
	if options.Addr != "cache.internal:6380" || options.DB != 3 || options.Username != "ann" || options.Password != "pass/word" {
		t.Errorf("read as %s/%d for %s", options.Addr, options.DB, options.Username)
	}
	if options.TLSConfig == nil || options.TLSConfig.ServerName != "cache.internal" {
		t.Error("rediss does not mean TLS")
	}
	if options.ReadTimeout != 2*time.Second || options.DialTimeout != callTimeout || options.MaxRetries != -1 {
		t.Errorf("timeouts %v and %v, retries %d", options.ReadTimeout, options.DialTimeout, options.MaxRetries)
	}

	options, err = parse("redis://localhost")
	check(t, err)
	if options.Addr != "localhost:6379" || options.DB != 0 || options.TLSConfig != nil {
		t.Errorf("read as %s/%d", options.Addr, options.DB)
	}
}

func TestAddressesThatAreWrong(t *testing.T) {
	t.Parallel()
	cases := []struct {
		address string
		want    error
	}{
		{"", errScheme},
		{"localhost:6379", errScheme},
		{"127.0.0.1:6379", errMalformed},
		{"http://localhost", errScheme},
		{"unix:///run/redis.sock", errScheme},
		{"redis://", errHost},
		{"redis:///0", errHost},
		{"redis://localhost:port", errMalformed},
		{"redis://localhost/cache", errDatabase},
		{"redis://localhost/-1", errDatabase},
		{"redis://localhost/0/1", errDatabase},
		{"redis://ann:secret#1@localhost", errMalformed},
		{"redis://ann:secret/1@localhost", errMalformed},
		{"redis://ann:1/secret@localhost", errDatabase},
		{"redis://ann:secret%zz@localhost", errMalformed},
		{"redis://ann:secret@localhost:port", errMalformed},
	}
	for _, c := range cases {
		client, err := Open(t.Context(), c.address)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.address, err, c.want)
			continue
		}
		if client != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", c.address, err)
		}
	}
	if _, err := Open(t.Context(), "redis://localhost?colour=red"); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown option gave %v", err)
	}
}

func TestOpenWithoutAServer(t *testing.T) {
	t.Parallel()
	client, err := Open(t.Context(), "redis://127.0.0.1:1")
	check(t, err)
	if err := client.Ping(t.Context()); err == nil {
		t.Error("nobody answered the ping")
	}
	check(t, client.Close())
}
