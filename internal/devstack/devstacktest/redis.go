package devstacktest

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// EmptyRedis makes a Redis forget everything.
func EmptyRedis(t testing.TB, url string) {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(options)
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("emptying redis: %v", err)
	}
}
