// Package devstacktest gives tests the backends to run on: embedded ones, which
// need nothing installed, and real ones, which `make services` starts. The same
// test runs on both:
//
//	func TestMain(m *testing.M) { devstacktest.Main(m) }
//
//	func TestLedger(t *testing.T) {
//		devstacktest.Each(t, func(t *testing.T, b devstacktest.Backends) { ... })
//	}
//
// Every call gives an empty database, an empty Redis database and a topic name
// that nobody else has, so tests run in parallel; all of it is removed when the
// test ends. Redis channels are not divided by database: names that are told
// apart by the log's id keep tests apart as well.
package devstacktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/anteroomhq/anteroom/internal/devstack"
)

// The kinds of backends, which are also the names of Each's subtests.
const (
	KindEmbedded = "embedded"
	KindReal     = "real"
)

// cleanupPatience bounds the removal of what a test used.
const cleanupPatience = 30 * time.Second

// Backends are where a test finds its Kafka, Redis and Postgres.
type Backends struct {
	Kind         string // KindEmbedded or KindReal
	KafkaBrokers []string
	RedisURL     string // an empty Redis database
	PostgresURL  string // an empty Postgres database
	Topic        string // a topic's name; the topic is not there yet
}

// Each runs the test as two subtests, embedded and real.
func Each(t *testing.T, test func(t *testing.T, b Backends)) {
	t.Helper()
	t.Run(KindEmbedded, func(t *testing.T) { test(t, Embedded(t)) })
	t.Run(KindReal, func(t *testing.T) { test(t, Real(t)) })
}

// Embedded gives the test an in-process Kafka and Redis of its own and a
// database on the Postgres that the tests of this binary share. The binary's
// TestMain has to call Main, which stops that Postgres.
func Embedded(t testing.TB) Backends {
	t.Helper()
	kafka, err := devstack.StartFakeKafka(devstack.FakeKafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, kafka.Close()) })
	server, err := devstack.StartMiniRedis(devstack.MiniRedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, server.Close()) })
	postgres, err := shared.postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := uniqueName()
	return Backends{
		Kind:         KindEmbedded,
		KafkaBrokers: []string{kafka.Address},
		RedisURL:     server.URL,
		PostgresURL:  database(t, postgres, name),
		Topic:        name,
	}
}

// Real gives the test the servers that ANTEROOM_TEST_KAFKA_BROKERS (separated
// by commas), ANTEROOM_TEST_REDIS_URL and ANTEROOM_TEST_POSTGRES_URL name, in
// the environment or in .services/env beside go.mod. They have to be for tests
// only: the test gets an emptied Redis database (the next one in turn, so a
// server with many is needed to run many tests at once), and topics whose names
// start with Topic are deleted when it ends.
//
// Without such servers the test is skipped, or fails when CI=true.
func Real(t testing.TB) Backends {
	t.Helper()
	brokers := strings.Split(setting(t, "ANTEROOM_TEST_KAFKA_BROKERS"), ",")
	redisURL := setting(t, "ANTEROOM_TEST_REDIS_URL")
	postgresURL := setting(t, "ANTEROOM_TEST_POSTGRES_URL")
	for _, address := range []string{brokers[0], host(t, redisURL), host(t, postgresURL)} {
		answers(t, address)
	}
	name := uniqueName()
	t.Cleanup(func() { report(t, deleteTopics(brokers, name)) })
	return Backends{
		Kind:         KindReal,
		KafkaBrokers: brokers,
		RedisURL:     redisDatabase(t, redisURL),
		PostgresURL:  database(t, postgresURL, name),
		Topic:        name,
	}
}

// KafkaLibs is the folder of jars for a test that starts a broker of its own
// with devstack.StartKafka. Where it is missing the test is skipped, or fails
// when CI=true.
func KafkaLibs(t testing.TB) string {
	t.Helper()
	if _, err := devstack.LookJava(); err != nil {
		missing(t, err.Error())
	}
	libs := setting(t, "ANTEROOM_TEST_KAFKA_LIBS")
	if _, err := os.Stat(libs); err != nil {
		missing(t, err.Error())
	}
	return libs
}

// uniqueName is fit for a topic and for a database.
func uniqueName() string { return fmt.Sprintf("test-%016x", rand.Uint64()) }

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// missing ends a test for which there are no real servers.
func missing(t testing.TB, what string) {
	t.Helper()
	message := what + ": run `make services` first"
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

func setting(t testing.TB, name string) string {
	t.Helper()
	if value := os.Getenv(name); value != "" {
		return value
	}
	values, err := servicesFile()
	if err != nil {
		t.Fatal(err)
	}
	if values[name] == "" {
		missing(t, "no real backend: "+name+" is not set")
	}
	return values[name]
}

// servicesFile reads .services/env of this module; without one it is empty.
func servicesFile() (map[string]string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return nil, nil
		}
		dir = filepath.Dir(dir)
	}
	file, err := os.Open(filepath.Join(dir, ".services", "env"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the services' addresses: %w", err)
	}
	defer file.Close()
	values := make(map[string]string)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if found {
			values[name] = strings.Trim(value, `'"`)
		}
	}
	return values, nil
}

func host(t testing.TB, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// answers ends the test when a server whose address is known is not running.
func answers(t testing.TB, address string) {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	connection, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		missing(t, "no real backend: "+err.Error())
		return
	}
	report(t, connection.Close())
}

// database makes a database that is dropped when the test ends.
func database(t testing.TB, serverURL, name string) string {
	t.Helper()
	address, err := devstack.CreateDatabase(t.Context(), serverURL, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
		defer cancel()
		report(t, devstack.DropDatabase(ctx, serverURL, name))
	})
	return address
}

// redisDatabase is the next Redis database in turn, emptied before and after
// the test. Database 0 keeps the count.
func redisDatabase(t testing.TB, serverURL string) string {
	t.Helper()
	options, err := redis.ParseURL(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	options.DB = 0
	counter := redis.NewClient(options)
	defer counter.Close()
	configured, err := counter.ConfigGet(t.Context(), "databases").Result()
	if err != nil {
		t.Fatal(err)
	}
	var databases int64
	if _, err := fmt.Sscan(configured["databases"], &databases); err != nil || databases < 2 {
		t.Fatalf("redis at %s has %q databases, tests need at least 2", options.Addr, configured["databases"])
	}
	turn, err := counter.Incr(t.Context(), "anteroom:test:database").Result()
	if err != nil {
		t.Fatal(err)
	}
	options.DB = int(1 + turn%(databases-1))
	mine := redis.NewClient(options)
	if err := mine.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
		defer cancel()
		report(t, mine.FlushDB(ctx).Err())
		report(t, mine.Close())
	})
	address, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	address.Path = fmt.Sprintf("/%d", options.DB)
	return address.String()
}

// deleteTopics deletes the topics whose names start with prefix.
func deleteTopics(brokers []string, prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("making a kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var used []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, prefix) {
			used = append(used, name)
		}
	}
	if len(used) == 0 {
		return nil
	}
	deleted, err := admin.DeleteTopics(ctx, used...)
	if err != nil {
		return fmt.Errorf("deleting topics: %w", err)
	}
	var failed error
	for _, topic := range deleted.Sorted() {
		// Another's deletion, or the test's own, is as good.
		if topic.Err != nil && !errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			failed = errors.Join(failed, fmt.Errorf("deleting topic %s: %w", topic.Topic, topic.Err))
		}
	}
	return failed
}
