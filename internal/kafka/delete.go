package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Delete removes the topic, and with it all that was ever decided from it. It
// is for topics that were made for a trial; one that is not there is no error.
func Delete(ctx context.Context, config Config) error {
	config, err := config.complete()
	if err != nil {
		return err
	}
	client, err := newClient(config)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteTopic(ctx, config.Topic)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("deleting topic %s: %w", config.Topic, err)
	}
	return nil
}
