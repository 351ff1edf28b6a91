package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

var (
	// ErrNoTopic means that the topic has not been made.
	ErrNoTopic = errors.New("the topic does not exist: run anteroom migrate")
	// ErrUnfit means that the topic's settings would break what anteroom
	// promises. What is wrong, and how to mend it, is in the error's text.
	ErrUnfit = errors.New("the topic is unfit")
)

// Topic is the log as it was when it was looked at.
type Topic struct {
	Name       string
	ID         event.TopicID
	Partitions []Extent // by number
}

// Extent is which offsets a partition has: [Start, End).
type Extent struct {
	Start, End sale.Offset
}

const (
	replicas      = 3
	inSync        = 2
	minBatchBytes = 1_000_012 // the largest batch that the producer makes
)

// settings are what a new topic is made with.
func (c Config) settings() map[string]*string {
	settings := map[string]string{
		"message.timestamp.type":         "LogAppendTime",
		"cleanup.policy":                 "delete",
		"retention.ms":                   "-1",
		"retention.bytes":                "-1",
		"unclean.leader.election.enable": "false",
		"min.insync.replicas":            strconv.Itoa(inSync),
		"max.message.bytes":              "1048588", // Kafka's default
	}
	if c.SingleBroker {
		settings["min.insync.replicas"] = "1"
	}
	if c.decisions {
		for _, name := range []string{"message.timestamp.type", "retention.ms", "retention.bytes"} {
			delete(settings, name)
		}
	}
	pointers := make(map[string]*string, len(settings))
	for name, value := range settings {
		pointers[name] = &value
	}
	return pointers
}

// Check looks at the topic and refuses one on which time, order or durability
// would not be what the program relies on. Retention that an operator has set
// is allowed.
func Check(ctx context.Context, config Config) (Topic, error) {
	config, err := config.complete()
	if err != nil {
		return Topic{}, err
	}
	client, err := newClient(config)
	if err != nil {
		return Topic{}, err
	}
	defer client.Close()
	return check(ctx, client, config)
}

func check(ctx context.Context, client *kgo.Client, config Config) (Topic, error) {
	described, err := describe(ctx, client, config.Topic)
	if err != nil {
		return Topic{}, err
	}
	actual, err := actualSettings(ctx, client, config.Topic)
	if err != nil {
		return Topic{}, err
	}
	if err := fit(config, described, actual); err != nil {
		return Topic{}, fmt.Errorf("topic %s: %w", config.Topic, err)
	}
	topic := Topic{Name: config.Topic, ID: described.TopicID}
	topic.Partitions, err = extents(ctx, client, config.Topic, len(described.Partitions))
	return topic, err
}

// describe asks a broker for the topic's metadata. (kadm's call for it may
// answer from memory, which does not notice that a topic was made again.)
func describe(ctx context.Context, client *kgo.Client, topic string) (kmsg.MetadataResponseTopic, error) {
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, asked)
	response, err := request.RequestWith(ctx, client)
	if err == nil && len(response.Topics) != 1 {
		err = errors.New("the broker's answer is empty")
	}
	if err != nil {
		return kmsg.MetadataResponseTopic{}, fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	described := response.Topics[0]
	switch err := kerr.ErrorForCode(described.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return described, fmt.Errorf("topic %s: %w", topic, ErrNoTopic)
	case err != nil:
		return described, fmt.Errorf("asking for topic %s: %w", topic, err)
	case event.TopicID(described.TopicID) == event.TopicID{}:
		return described, fmt.Errorf("topic %s: %w: the brokers give it no id; Apache Kafka 3.1 or newer is needed", topic, ErrUnfit)
	}
	return described, nil
}

func actualSettings(ctx context.Context, client *kgo.Client, topic string) (map[string]string, error) {
	described, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("asking for the settings of topic %s: %w", topic, err)
	}
	resource, err := described.On(topic, nil)
	if err == nil {
		err = resource.Err
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the settings of topic %s: %w", topic, err)
	}
	actual := make(map[string]string, len(resource.Configs))
	for _, setting := range resource.Configs {
		actual[setting.Key] = setting.MaybeValue()
	}
	return actual, nil
}

// fit names everything about the topic that has to be changed.
func fit(config Config, described kmsg.MetadataResponseTopic, actual map[string]string) error {
	var wrong []string
	want := func(ok bool, name, value, why string) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s is %q, set it to %s: %s", name, actual[name], value, why))
		}
	}
	want(config.decisions || actual["message.timestamp.type"] == "LogAppendTime", "message.timestamp.type", "LogAppendTime",
		"time is the brokers', not the producers'")
	want(actual["cleanup.policy"] == "delete", "cleanup.policy", "delete",
		"compaction removes records from the middle of the log")
	// The in-process Kafka has no such setting, and no such elections.
	unclean, known := actual["unclean.leader.election.enable"]
	want(!known || unclean == "false", "unclean.leader.election.enable", "false",
		"such an election loses acknowledged records")
	bytes, err := strconv.Atoi(actual["max.message.bytes"])
	want(err == nil && bytes >= minBatchBytes, "max.message.bytes", strconv.Itoa(minBatchBytes)+" or more",
		"full batches would be refused")
	least := inSync
	if config.SingleBroker {
		least = 1
	}
	written, err := strconv.Atoi(actual["min.insync.replicas"])
	want(err == nil && written >= least, "min.insync.replicas", strconv.Itoa(least),
		"an acknowledged record would be on one broker alone")

	for _, partition := range described.Partitions {
		have := len(partition.Replicas)
		switch {
		case !config.SingleBroker && have < replicas:
			wrong = append(wrong, fmt.Sprintf("partition %d has %d replicas, reassign it to %d brokers, or choose single-broker mode if losing that broker's disk may lose the sale",
				partition.Partition, have, replicas))
		case have < written:
			wrong = append(wrong, fmt.Sprintf("partition %d has %d replicas, fewer than min.insync.replicas, so nothing could be appended; lower the one or raise the other",
				partition.Partition, have))
		default:
			continue
		}
		break // the others are most likely alike
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrUnfit, strings.Join(wrong, "; "))
	}
	return nil
}

// extents asks for all partitions' bounds.
func extents(ctx context.Context, client *kgo.Client, topic string, partitions int) ([]Extent, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where topic %s starts: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where topic %s ends: %w", topic, err)
	}
	all := make([]Extent, partitions)
	for number := range all {
		start, known := starts.Lookup(topic, int32(number))
		end, alsoKnown := ends.Lookup(topic, int32(number))
		if !known || !alsoKnown {
			return nil, fmt.Errorf("asking for the bounds of topic %s: no answer for partition %d", topic, number)
		}
		all[number] = Extent{Start: sale.Offset(start.Offset), End: sale.Offset(end.Offset)}
	}
	return all, nil
}
