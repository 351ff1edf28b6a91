package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/lab/bench"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

// benchService is anteroom under measurement: an ingress and an allocator, each
// a process as anteroom serve makes them.
type benchService struct {
	stack     *benchStack
	topic     kafka.Config
	database  string // URL
	address   string
	operator  *client.Client
	reader    *postgres.Reader
	processes map[string]*devstack.Program
	admins    map[string]string // addresses
	ends      []func() error
}

// Service is bench.Stack's.
func (s *benchStack) Service(ctx context.Context, config bench.ServiceConfig) (_ bench.Service, err error) {
	name := s.name()
	w := &benchService{
		stack: s, processes: make(map[string]*devstack.Program), admins: make(map[string]string), ends: []func() error{s.empty},
		topic: kafka.Config{Brokers: s.brokers(), Topic: strings.ReplaceAll(name, "_", "."), SingleBroker: true, Partitions: config.Partitions},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.database, err = s.database(ctx, name, config.CommitDelay, &w.ends); err != nil {
		return nil, err
	}
	decisions := decisionsTopicOf(w.topic.Topic)
	for _, topic := range []string{w.topic.Topic, decisions} {
		removed := w.topic
		removed.Topic = topic
		w.ends = append(w.ends, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			return kafka.Delete(ctx, removed)
		})
	}
	err = migrate(ctx, migration{kafka: w.topic, decisions: decisions, postgresURL: w.database, report: func(string) {}})
	if err != nil {
		return nil, err
	}
	if w.reader, err = postgres.NewReader(ctx, postgres.Config{URL: w.database}); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	w.ends = append(w.ends, func() error { w.reader.Close(); return nil })
	if !config.Idle {
		if err := w.Decide(ctx); err != nil {
			return nil, err
		}
	}
	if w.address, err = w.serve(ctx, "ingress"); err != nil {
		return nil, err
	}
	w.operator, err = client.New(client.Config{URL: "http://" + w.address, OperatorToken: s.secrets.OperatorToken})
	return w, err
}

// serve starts a role and gives the address at which it listens.
func (w *benchService) serve(ctx context.Context, role string) (address string, err error) {
	if address, err = loopbackAddress(); err != nil {
		return "", err
	}
	admin, err := loopbackAddress()
	if err != nil {
		return "", err
	}
	s := w.stack
	environment := s.environment(
		"ANTEROOM_KAFKA_BROKERS="+s.kafka, "ANTEROOM_TOPIC="+w.topic.Topic, "ANTEROOM_DECISIONS_TOPIC="+decisionsTopicOf(w.topic.Topic),
		"ANTEROOM_SINGLE_BROKER=true", "ANTEROOM_POSTGRES_URL="+w.database, "ANTEROOM_REDIS_URL="+s.redis,
		"ANTEROOM_TICKET_KEYS="+s.secrets.TicketKeys, "ANTEROOM_BUYER_KEYS="+s.secrets.BuyerKeys,
		"ANTEROOM_OPERATOR_TOKEN="+s.secrets.OperatorToken, "ANTEROOM_MERCHANT_TOKEN="+s.secrets.MerchantToken,
	)
	program, err := s.launch(ctx, role, "http://"+admin+"/readyz", environment, "serve", "--role", role, "--listen", address, "--admin-listen", admin)
	if err != nil {
		return "", fmt.Errorf("starting the %s: %w", role, err)
	}
	w.processes[role], w.admins[role] = program, admin
	w.ends = append(w.ends, program.Close)
	return address, nil
}

func (w *benchService) Address() string          { return w.address }
func (w *benchService) Operator() *client.Client { return w.operator }
func (w *benchService) MerchantToken() string    { return w.stack.secrets.MerchantToken }

func (w *benchService) Processes() map[string]int {
	pids := make(map[string]int)
	for role, program := range w.processes {
		pids[role] = program.PID()
	}
	return pids
}

func (w *benchService) Decide(ctx context.Context) error {
	_, err := w.serve(ctx, "allocator")
	return err
}

func (w *benchService) Halt() error { return w.processes["allocator"].Stop() }

// Metric is bench.Service's.
func (w *benchService) Metric(ctx context.Context, role, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admins[role]+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking for metrics: %w", err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("the %s has no metric %s", role, name)
	}
	sum := 0.0
	for _, m := range family.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum, nil
}

// Append is bench.Service's.
func (w *benchService) Append(ctx context.Context, partition int32, product sale.Product, records func(yield func(sale.Body) bool)) (err error) {
	log, err := kafka.Open(ctx, w.topic)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	const underWay = 20_000
	places := make(chan struct{}, underWay)
	var waiting sync.WaitGroup
	var failed error
	var once sync.Once
	fail := func(err error) { once.Do(func() { failed = err }) }
	for body := range records {
		value, err := event.Encode(body)
		if err != nil {
			fail(err)
			break
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			fail(ctx.Err())
		}
		if ctx.Err() != nil {
			break
		}
		waiting.Add(1)
		err = log.Append(partition, []byte(product), value, func(_ sale.Offset, err error) {
			defer waiting.Done()
			if err != nil {
				fail(err)
			}
			<-places
		})
		if err != nil {
			waiting.Done()
			fail(err)
			break
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = log.Close(closing)
	waiting.Wait() // Close has called all of them
	if err := errors.Join(failed, err); err != nil {
		return fmt.Errorf("filling the log: %w", err)
	}
	return nil
}

// Watermark is bench.Service's.
func (w *benchService) Watermark(ctx context.Context, partition int32) (sale.Offset, error) {
	found, err := w.reader.Request(ctx, partition, sale.None)
	return found.Watermark, err
}

// Tally is bench.Service's.
func (w *benchService) Tally(ctx context.Context, product sale.Product) (bench.Tally, error) {
	ledger, err := w.reader.Tally(ctx)
	if err != nil {
		return bench.Tally{}, err
	}
	found, ok := findTally(ledger, string(product))
	if !ok {
		return bench.Tally{}, fmt.Errorf("the ledger has no sale of %s", product)
	}
	units := make(map[sale.State]int64)
	for state, count := range found.Rows {
		units[state] = count.Units
	}
	return bench.Tally{Sale: found.Sale, Units: units}, nil
}

func (w *benchService) Close() error {
	var errs []error
	for _, end := range slices.Backward(w.ends) {
		errs = append(errs, end())
	}
	w.ends = nil
	return errors.Join(errs...)
}
