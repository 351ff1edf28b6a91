package devstack

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "records"

// oldTime is a producer's time that no broker's clock gives, in milliseconds.
const oldTime = int64(1_000_000)

type exercised struct {
	backend processBackend
	answers func(context.Context) error
	write   func(context.Context) error
	count   func(context.Context) (int, error) // of writes
}

// exercise takes a backend away in every way and brings it back, and checks
// that it keeps its data and, after Close, leaves no process.
func exercise(t *testing.T, e exercised) {
	t.Helper()
	check(t, e.write(t.Context()))

	check(t, e.backend.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	if err := e.answers(ctx); err == nil {
		t.Error("a paused backend answers")
	}
	cancel()
	check(t, e.backend.Continue())
	eventually(t, "it answers after Continue", func() bool { return e.answers(t.Context()) == nil })

	check(t, e.backend.Stop())
	if pid := e.backend.PID(); pid != 0 {
		t.Errorf("stopped, but process %d runs", pid)
	}
	if err := e.backend.Pause(); err == nil {
		t.Error("a stopped backend was paused")
	}
	check(t, e.backend.Restart(t.Context()))
	check(t, e.write(t.Context()))

	killed := append([]int{e.backend.PID()}, descendants(e.backend.PID())...)
	check(t, e.backend.Pause()) // stopped children of a killed server must go too
	check(t, e.backend.Kill())
	for _, pid := range killed {
		if ProcessIdentity(pid) != "" {
			t.Errorf("process %d outlived Kill", pid)
		}
	}
	check(t, e.backend.Restart(t.Context()))
	if n, err := e.count(t.Context()); err != nil || n != 2 {
		t.Errorf("after Stop, Kill and Restart there are %d writes (%v), want 2", n, err)
	}

	check(t, e.backend.Pause())
	last := append([]int{e.backend.PID()}, descendants(e.backend.PID())...)
	check(t, e.backend.Close())
	check(t, e.backend.Close())
	for _, pid := range last {
		eventually(t, "every process is gone after Close", func() bool { return ProcessIdentity(pid) == "" })
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds, looking again every few
// milliseconds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("after 30 s still not so: %s", what)
		case <-again.C:
		}
	}
}

// skipOrFail: what is missing on a person's machine is skipped, in CI it fails.
func skipOrFail(t *testing.T, missing error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func postgresIsFetched() bool {
	cache, err := postgresCache()
	if err != nil {
		return false
	}
	programs, err := filepath.Glob(filepath.Join(cache, "postgres-*", "bin"))
	return err == nil && len(programs) > 0
}

func wantGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}

// owns says whether a file, or a process in /proc, belongs to the account.
func (a account) owns(info os.FileInfo) bool {
	owner, known := info.Sys().(*syscall.Stat_t)
	return known && owner.Uid == a.uid
}

func queryText(t *testing.T, address, query string) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	check(t, err)
	defer connection.Close(t.Context())
	results, err := connection.PgConn().Exec(t.Context(), query).ReadAll()
	check(t, err)
	return string(results[len(results)-1].Rows[0][0])
}

func kafkaClient(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address)}, options...)...)
	check(t, err)
	t.Cleanup(client.Close)
	return client
}

func makeTopic(t *testing.T, address string) kadm.TopicID {
	t.Helper()
	setting := "LogAppendTime"
	admin := kadm.NewClient(kafkaClient(t, address))
	_, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &setting}, topic)
	check(t, err)
	return topicID(t, address)
}

func topicID(t *testing.T, address string) kadm.TopicID {
	t.Helper()
	details, err := kadm.NewClient(kafkaClient(t, address)).ListTopics(t.Context(), topic)
	check(t, err)
	return details[topic].ID
}

func produceRecord(ctx context.Context, address string, record *kgo.Record) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, record).FirstErr()
}

func produce(t *testing.T, address, value string) {
	t.Helper()
	check(t, produceRecord(t.Context(), address, &kgo.Record{Topic: topic, Value: []byte(value)}))
}

func consume(t *testing.T, address, from string, n int) []*kgo.Record {
	t.Helper()
	client := kafkaClient(t, address, kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		check(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

func wantRecords(t *testing.T, address string, want ...string) {
	t.Helper()
	var got []string
	for _, record := range consume(t, address, topic, len(want)) {
		got = append(got, string(record.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// timeOfOldRecord produces a record with an old time to a topic that asks for
// LogAppendTime, and returns the time and its type as a consumer sees them.
func timeOfOldRecord(t *testing.T, address string) (milliseconds int64, logAppend bool) {
	t.Helper()
	const timed = "timed"
	setting := "LogAppendTime"
	admin := kadm.NewClient(kafkaClient(t, address))
	_, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &setting}, timed)
	check(t, err)
	check(t, produceRecord(t.Context(), address, &kgo.Record{
		Topic: timed, Value: []byte("old"), Timestamp: time.UnixMilli(oldTime),
	}))
	record := consume(t, address, timed, 1)[0]
	return record.Timestamp.UnixMilli(), record.Attrs.TimestampType() == 1
}
