package devstacktest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { Main(m) }

func TestEachGivesEmptyBackendsOfItsOwn(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, first Backends) {
		second := first
		if first.Kind == KindEmbedded {
			second = Embedded(t)
		} else {
			second = Real(t)
		}
		if first.PostgresURL == second.PostgresURL || first.RedisURL == second.RedisURL || first.Topic == second.Topic {
			t.Errorf("two calls share something: %+v and %+v", first, second)
		}
		use(t, first)
		use(t, second)
	})
}

// use fails unless everything is empty, and fills it.
func use(t *testing.T, b Backends) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.KafkaBrokers...))
	check(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, b.Topic)
	check(t, err)
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, b.Topic+".decisions")
	check(t, err)

	options, err := redis.ParseURL(b.RedisURL)
	check(t, err)
	cache := redis.NewClient(options)
	defer cache.Close()
	if n := cache.Incr(t.Context(), "uses").Val(); n != 1 {
		t.Errorf("the redis database was used %d times", n)
	}

	connection, err := pgx.Connect(t.Context(), b.PostgresURL)
	check(t, err)
	defer connection.Close(t.Context())
	_, err = connection.Exec(t.Context(), "CREATE TABLE uses (n int)")
	check(t, err)
}

// TestRealLeavesNothing looks at what a test left on the real servers.
func TestRealLeavesNothing(t *testing.T) {
	t.Parallel()
	var used Backends
	t.Run("use", func(t *testing.T) {
		used = Real(t)
		use(t, used)
	})
	brokers := setting(t, "ANTEROOM_TEST_KAFKA_BROKERS")
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	check(t, err)
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	check(t, err)
	if topics.Has(used.Topic) || topics.Has(used.Topic+".decisions") {
		t.Error("a topic is left")
	}
	if connection, err := pgx.Connect(t.Context(), used.PostgresURL); err == nil {
		t.Error("the database is left")
		check(t, connection.Close(t.Context()))
	}
}

func TestMissingServersAreSkippedAndFailInCI(t *testing.T) {
	t.Setenv("ANTEROOM_TEST_KAFKA_BROKERS", "127.0.0.1:1")
	t.Setenv("ANTEROOM_TEST_REDIS_URL", "redis://127.0.0.1:1")
	t.Setenv("ANTEROOM_TEST_POSTGRES_URL", "postgres://127.0.0.1:1")
	for ci, want := range map[string]string{"": "skip", "true": "fatal"} {
		t.Setenv("CI", ci)
		got := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Real(got)
		}()
		<-done
		if got.verdict != want || !strings.Contains(got.message, "make services") {
			t.Errorf("with CI=%q: %s %q, want %s", ci, got.verdict, got.message, want)
		}
	}
}

// recorder is a test that notes how it would have ended.
type recorder struct {
	testing.TB
	verdict, message string
}

func (r *recorder) Skip(arguments ...any) {
	r.verdict, r.message = "skip", fmt.Sprint(arguments...)
	runtime.Goexit()
}

func (r *recorder) Fatal(arguments ...any) {
	r.verdict, r.message = "fatal", fmt.Sprint(arguments...)
	runtime.Goexit()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
