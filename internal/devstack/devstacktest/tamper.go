package devstacktest

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is what a test puts into a topic behind the service's back.
type Record struct {
	Time       time.Time // kept where the topic keeps producers' times
	Key, Value []byte
}

// Produce adds records to a topic's partition 0.
func Produce(t testing.TB, brokers []string, topic string, records []Record) {
	t.Helper()
	client := kafkaClient(t, brokers)
	appended := make([]*kgo.Record, len(records))
	for i, r := range records {
		appended[i] = &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Timestamp: r.Time}
	}
	if err := client.ProduceSync(t.Context(), appended...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// MakeTopic makes a topic of one partition that keeps producers' times. Those
// whose names begin with a Backends' Topic are removed with it.
func MakeTopic(t testing.TB, brokers []string, topic string) {
	t.Helper()
	keepsTimes := "CreateTime"
	_, err := kadm.NewClient(kafkaClient(t, brokers)).CreateTopic(t.Context(), 1, 1,
		map[string]*string{"message.timestamp.type": &keepsTimes}, topic)
	if err != nil {
		t.Fatal(err)
	}
}

// RemoveBefore removes the records of a topic's partition 0 before an offset, as
// retention does.
func RemoveBefore(t testing.TB, brokers []string, topic string, offset int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, offset, -1)
	removed, err := kadm.NewClient(kafkaClient(t, brokers)).DeleteRecords(t.Context(), offsets)
	if err == nil {
		err = removed.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func kafkaClient(t testing.TB, brokers []string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression())) // as the service's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
