package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/internal/webhook"
)

// webhookSettings say where shops are told what was decided.
type webhookSettings struct {
	WebhookURL          string   `name:"webhook-url" env:"ANTEROOM_WEBHOOK_URL" placeholder:"URL" help:"Where a shop is told of holds and sales. Not set: nobody is told."`
	WebhookSecret       []string `env:"ANTEROOM_WEBHOOK_SECRET" placeholder:"whsec_..." help:"Secrets that sign webhooks, newest first; each message is signed with all of them."`
	WebhookAllowPrivate bool     `env:"ANTEROOM_WEBHOOK_ALLOW_PRIVATE" help:"Allow a webhook to go to addresses that are not public, and by http."`
	WebhookAttempts     int      `env:"ANTEROOM_WEBHOOK_ATTEMPTS" default:"14" help:"How often a webhook is tried before it is dead; 14 take about a day."`
}

// validateFor looks at the settings before anything is connected to.
func (s webhookSettings) validateFor(parts roles, decisionsTopic string) error {
	switch {
	case s.WebhookURL == "" && parts.webhook:
		return fmt.Errorf("%w: --webhook-url (ANTEROOM_WEBHOOK_URL) is not set", errMisuse)
	case s.WebhookURL == "":
		return nil
	case decisionsTopic == "":
		return fmt.Errorf("%w: webhooks tell what is on the topic of decisions, which is off (ANTEROOM_DECISIONS_TOPIC)", errMisuse)
	case len(s.WebhookSecret) == 0:
		return fmt.Errorf("%w: --webhook-secret (ANTEROOM_WEBHOOK_SECRET) is not set; make one with: echo whsec_$(openssl rand -base64 32)", errMisuse)
	case s.WebhookAttempts < 1:
		return fmt.Errorf("%w: --webhook-attempts is at least 1", errMisuse)
	}
	if err := webhook.CheckSettings(s.WebhookURL, s.WebhookSecret, s.WebhookAllowPrivate); err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	return nil
}

// newWebhooks makes the part that tells shops, in a process that has that role,
// or the allocator's.
func (s *service) newWebhooks(ctx context.Context, log kafka.Topic) error {
	settings := s.config.webhooks
	if settings.WebhookURL == "" || !s.config.roles.webhook && !s.config.roles.allocator {
		return nil
	}
	if err := kafka.CheckDecisions(ctx, s.decisionsConfig(""), log); err != nil {
		return fmt.Errorf("checking the topic of decisions: %w", err)
	}
	source, err := kafka.ReadDecisions(ctx, s.decisionsConfig("webhooks"))
	if err != nil {
		return fmt.Errorf("opening the topic of decisions: %w", err)
	}
	s.closers = append(s.closers, source.Close)
	store, err := postgres.NewWebhooks(ctx, postgres.Config{URL: s.config.backends.PostgresURL, Connections: 4, Logger: s.config.logger})
	if err != nil {
		return fmt.Errorf("preparing the store of webhooks: %w", err)
	}
	s.closers = append(s.closers, store.Close)
	s.webhooks, err = webhook.New(webhook.Config{
		URL: settings.WebhookURL, Secrets: settings.WebhookSecret, AllowPrivate: settings.WebhookAllowPrivate,
		Attempts: settings.WebhookAttempts, Source: source, Store: store, Registerer: s.registry, Logger: s.config.logger,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	return nil
}

// webhookCommands are what operators do about webhooks that a shop did not
// take.
type webhookCommands struct {
	Dead deadWebhookCommands `cmd:"" help:"Webhooks that are not tried any more."`
}

type deadWebhookCommands struct {
	List  deadListCommand  `cmd:"" help:"List them, the oldest first."`
	Retry deadRetryCommand `cmd:"" help:"Try them again, from now on, with all their attempts anew."`
}

// webhookStoreSettings say where webhooks that failed are kept.
type webhookStoreSettings struct {
	PostgresURL string `name:"postgres-url" env:"ANTEROOM_POSTGRES_URL" required:"" placeholder:"URL" help:"Postgres, as postgres://user:password@host:port/database."`
	JSON        bool   `help:"Print JSON, for programs."`
}

func (s webhookStoreSettings) open(ctx context.Context) (*postgres.Webhooks, error) {
	if err := postgres.CheckSchema(ctx, s.PostgresURL); err != nil {
		return nil, fmt.Errorf("checking the database: %w", err)
	}
	return postgres.NewWebhooks(ctx, postgres.Config{URL: s.PostgresURL, Connections: 1})
}

type deadListCommand struct {
	webhookStoreSettings
	Limit int `default:"100" help:"List so many at most."`
}

// deadWebhook is one in the list.
type deadWebhook struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	URL        string    `json:"url"`
	Attempts   int       `json:"attempts"`
	LastStatus int       `json:"last_status,omitzero"`
	LastError  string    `json:"last_error"`
	FailedAt   time.Time `json:"failed_at"`
	Body       string    `json:"body"`
}

func (c *deadListCommand) Run(ctx context.Context, t terminal) error {
	if c.Limit < 1 {
		return fmt.Errorf("%w: --limit is at least 1", errMisuse)
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	dead, err := store.Dead(ctx, c.Limit)
	if err != nil {
		return err
	}
	list := make([]deadWebhook, len(dead))
	for i, k := range dead {
		list[i] = deadWebhook{
			ID: k.ID, Type: k.Type, URL: k.URL, Attempts: k.Attempts, LastStatus: k.LastStatus, LastError: k.LastError,
			FailedAt: k.FailedAt.UTC(), Body: string(k.Body),
		}
	}
	if c.JSON {
		return printJSON(t, list)
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tTYPE\tATTEMPTS\tFAILED\tURL\tERROR")
	for _, k := range list {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", k.ID, k.Type, k.Attempts, k.FailedAt.Format(time.RFC3339), k.URL, k.LastError)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

type deadRetryCommand struct {
	webhookStoreSettings
	ID  []string `arg:"" optional:"" help:"Those with these ids."`
	All bool     `help:"All of them."`
}

func (c *deadRetryCommand) Run(ctx context.Context, t terminal) error {
	if c.All == (len(c.ID) > 0) {
		return fmt.Errorf("%w: name webhooks by id, or --all", errMisuse)
	}
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	revived, err := store.Revive(ctx, c.ID...)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t, map[string]int64{"retried": revived})
	} else {
		_, err = fmt.Fprintf(t.out, "%d are tried again\n", revived)
	}
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if len(c.ID) > 0 && int(revived) < len(c.ID) {
		return fmt.Errorf("%w: %d of them are not dead", errFalse, len(c.ID)-int(revived))
	}
	return nil
}
