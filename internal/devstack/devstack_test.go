package devstack

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// backend is what the backends have in common.
type backend interface {
	Stop() error
	Restart(ctx context.Context) error
	Close() error
}

// processBackend is a backend with a process of its own.
type processBackend interface {
	backend
	PID() int
	Kill() error
	Pause() error
	Continue() error
}

func TestFakeKafkaKeepsDataAndTopicIDsInItsFolder(t *testing.T) {
	t.Parallel()
	kafka, err := StartFakeKafka(FakeKafkaConfig{Dir: t.TempDir()})
	check(t, err)
	t.Cleanup(func() { check(t, kafka.Close()) })
	id := makeTopic(t, kafka.Address)
	produce(t, kafka.Address, "before")
	check(t, kafka.Restart(t.Context()))
	if again := topicID(t, kafka.Address); again != id {
		t.Errorf("the topic's id changed from %v to %v", id, again)
	}
	produce(t, kafka.Address, "after")
	wantRecords(t, kafka.Address, "before", "after")
}

func TestFakeKafkaInMemoryDoesNotRestart(t *testing.T) {
	t.Parallel()
	kafka, err := StartFakeKafka(FakeKafkaConfig{})
	check(t, err)
	makeTopic(t, kafka.Address)
	if err := kafka.Restart(t.Context()); err == nil {
		t.Error("a restart without a folder should fail: it would lose the log")
	}
	produce(t, kafka.Address, "still there")
	check(t, kafka.Close())
	check(t, kafka.Close())
}

// TestFakeKafkaIgnoresLogAppendTime holds the promise of FakeKafka's comment:
// when it fails, kfake has learned LogAppendTime and the producer's clock is no
// longer needed in the embedded stack.
func TestFakeKafkaIgnoresLogAppendTime(t *testing.T) {
	t.Parallel()
	kafka, err := StartFakeKafka(FakeKafkaConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, kafka.Close()) })
	if time, logAppend := timeOfOldRecord(t, kafka.Address); logAppend || time != oldTime {
		t.Errorf("a record made at %d has the time %d, LogAppendTime %v", oldTime, time, logAppend)
	}
}

func TestMiniRedis(t *testing.T) {
	t.Parallel()
	server, err := StartMiniRedis(MiniRedisConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	client := redisClient(t, server.URL)
	check(t, client.Set(t.Context(), "kept", "yes", 0).Err())
	check(t, client.Set(t.Context(), "short", "yes", 30*time.Millisecond).Err())
	eventually(t, "a key expires by the wall clock", func() bool {
		return client.Exists(t.Context(), "short").Val() == 0
	})
	check(t, server.Stop())
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a stopped server answers")
	}
	check(t, server.Restart(t.Context()))
	if kept := client.Get(t.Context(), "kept").Val(); kept != "yes" {
		t.Errorf("after the restart kept = %q", kept)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	if _, err := LookRedis(); err != nil {
		skipOrFail(t, err)
	}
	server, err := StartRedis(t.Context(), RedisConfig{AppendOnly: true})
	check(t, err)
	client := redisClient(t, server.URL)
	exercise(t, exercised{
		backend: server,
		answers: server.ping,
		write:   func(ctx context.Context) error { return client.Incr(ctx, "count").Err() },
		count:   func(ctx context.Context) (int, error) { return client.Get(ctx, "count").Int() },
	})
	wantGone(t, server.temporary)
}

func TestRedisIsEmptied(t *testing.T) {
	t.Parallel()
	if _, err := LookRedis(); err != nil {
		skipOrFail(t, err)
	}
	server, err := StartRedis(t.Context(), RedisConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	client := redisClient(t, server.URL)
	check(t, client.Set(t.Context(), "left", "yes", 0).Err())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, server.Empty(ctx))
	if n := client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server, err := StartPostgres(t.Context(), PostgresConfig{})
	check(t, err)
	exercisePostgres(t, server)
}

func TestPostgresDurable(t *testing.T) {
	t.Parallel()
	server, err := StartPostgres(t.Context(), PostgresConfig{Durable: true})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if value := queryText(t, server.URL, "SHOW "+setting); value != "on" {
			t.Errorf("%s is %s", setting, value)
		}
	}
}

func TestPostgresUsesDataAgain(t *testing.T) {
	t.Parallel()
	dir, _, err := folder("", "test") // not t.TempDir, which keeps other users out
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	for range 2 {
		server, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})
		check(t, err)
		queryText(t, server.URL, "SELECT current_user")
		check(t, server.Close())
	}
}

func TestPostgresRunsUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root: postgres runs as the same user")
	}
	server, err := StartPostgres(t.Context(), PostgresConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	info, err := os.Stat("/proc/" + strconv.Itoa(server.PID()))
	check(t, err)
	if (account{name: "root"}).owns(info) {
		t.Error("postgres runs as root")
	}
	if _, err := StartPostgres(t.Context(), PostgresConfig{Dir: t.TempDir()}); err == nil {
		t.Error("a folder which the unprivileged user cannot reach should be refused")
	}
}

func TestPostgresFetched(t *testing.T) {
	t.Parallel()
	if !postgresIsFetched() && os.Getenv("CI") != "true" {
		t.Skip("fetching postgres needs the network: set CI=true to try it")
	}
	programs, err := FetchPostgres(t.Context())
	check(t, err)
	server, err := StartPostgres(t.Context(), PostgresConfig{Binaries: programs})
	check(t, err)
	exercisePostgres(t, server)
}

func TestCreateAndDropDatabase(t *testing.T) {
	t.Parallel()
	server, err := StartPostgres(t.Context(), PostgresConfig{})
	check(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	database, err := CreateDatabase(t.Context(), server.URL, `odd "name`)
	check(t, err)
	if name := queryText(t, database, "SELECT current_database()"); name != `odd "name` {
		t.Errorf("connected to %q", name)
	}
	if _, err := CreateDatabase(t.Context(), server.URL, `odd "name`); err == nil {
		t.Error("a second database of the same name was made")
	}
	user, err := pgx.Connect(t.Context(), database)
	check(t, err)
	defer user.Close(context.Background())
	check(t, DropDatabase(t.Context(), server.URL, `odd "name`))
	if err := user.Ping(t.Context()); err == nil {
		t.Error("a session outlived its database")
	}
}

func TestKafka(t *testing.T) {
	t.Parallel()
	libs := os.Getenv("ANTEROOM_TEST_KAFKA_LIBS")
	if libs == "" {
		libs = "../../.services/kafka/libs"
	}
	if _, err := os.Stat(libs); err != nil {
		skipOrFail(t, err)
	}
	server, err := StartKafka(t.Context(), KafkaConfig{Libs: libs})
	check(t, err)
	if time, logAppend := timeOfOldRecord(t, server.Address); !logAppend || time == oldTime {
		t.Errorf("the record's time is %d, LogAppendTime %v", time, logAppend)
	}
	makeTopic(t, server.Address)
	exercise(t, exercised{
		backend: server,
		answers: server.ask,
		write: func(ctx context.Context) error {
			return produceRecord(ctx, server.Address, &kgo.Record{Topic: topic, Value: []byte("x")})
		},
		count: func(ctx context.Context) (int, error) {
			client := kafkaClient(t, server.Address)
			ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
			if err != nil {
				return 0, err
			}
			end, _ := ends.Lookup(topic, 0)
			return int(end.Offset), end.Err
		},
	})
	wantGone(t, server.temporary)
}

func redisClient(t *testing.T, address string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(address)
	check(t, err)
	options.MaxRetries = -1
	client := redis.NewClient(options)
	t.Cleanup(func() { check(t, client.Close()) })
	return client
}

func exercisePostgres(t *testing.T, server *Postgres) {
	t.Helper()
	queryText(t, server.URL, "CREATE TABLE counted (n int); SELECT ''")
	exercise(t, exercised{
		backend: server,
		answers: server.ask,
		write: func(ctx context.Context) error {
			return execute(ctx, server.URL, "INSERT INTO counted VALUES (1)")
		},
		count: func(ctx context.Context) (int, error) {
			connection, err := pgx.Connect(ctx, server.URL)
			if err != nil {
				return 0, err
			}
			defer connection.Close(ctx)
			var n int
			err = connection.QueryRow(ctx, "SELECT count(*) FROM counted").Scan(&n)
			return n, err
		},
	})
	wantGone(t, server.temporary)
}
