package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// backendSettings say where the real backends are.
type backendSettings struct {
	KafkaBrokers []string `env:"ANTEROOM_KAFKA_BROKERS" placeholder:"HOST:PORT" help:"Kafka's bootstrap brokers."`
	Topic        string   `env:"ANTEROOM_TOPIC" default:"anteroom.requests" help:"The topic that is the log."`
	SingleBroker bool     `env:"ANTEROOM_SINGLE_BROKER" help:"Accept a topic with one replica: its broker's disk is then all there is."`
	PostgresURL  string   `name:"postgres-url" env:"ANTEROOM_POSTGRES_URL" placeholder:"URL" help:"Postgres, as postgres://user:password@host:port/database."`
}

func (s backendSettings) validate() error {
	switch {
	case len(s.KafkaBrokers) == 0:
		return fmt.Errorf("%w: --kafka-brokers (ANTEROOM_KAFKA_BROKERS) is not set", errMisuse)
	case s.PostgresURL == "":
		return fmt.Errorf("%w: --postgres-url (ANTEROOM_POSTGRES_URL) is not set", errMisuse)
	}
	return nil
}

// listenSettings say where the service listens.
type listenSettings struct {
	Listen      string `env:"ANTEROOM_LISTEN" default:":8080" help:"Address for shoppers, merchants and operators."`
	AdminListen string `env:"ANTEROOM_ADMIN_LISTEN" default:":9090" help:"Address for /livez, /readyz and /metrics."`
}

// secretSettings are the keys and tokens.
type secretSettings struct {
	TicketKeys    string `env:"ANTEROOM_TICKET_KEYS" placeholder:"ID:BASE64,..." help:"Keys that sign tickets, newest first; at least 32 bytes each."`
	BuyerKeys     string `env:"ANTEROOM_BUYER_KEYS" placeholder:"ID:BASE64,..." help:"Keys that make buyers' pseudonyms, newest first; at least 32 bytes each."`
	OperatorToken string `env:"ANTEROOM_OPERATOR_TOKEN" placeholder:"TOKEN" help:"Bearer token of operators. Not set: their calls are off."`
	MerchantToken string `env:"ANTEROOM_MERCHANT_TOKEN" placeholder:"TOKEN" help:"Bearer token of merchants. Not set: their calls are off."`
}

// keys reads the keys, which an ingress cannot do without.
func (s secretSettings) keys() (ticketKeys, buyerKeys ticket.Keys, err error) {
	if s.MerchantToken != "" && s.MerchantToken == s.OperatorToken {
		return nil, nil, fmt.Errorf("%w: merchants and operators need different tokens", errMisuse)
	}
	for _, setting := range []struct {
		flag, name, value string
		into              *ticket.Keys
	}{
		{"--ticket-keys", "ANTEROOM_TICKET_KEYS", s.TicketKeys, &ticketKeys},
		{"--buyer-keys", "ANTEROOM_BUYER_KEYS", s.BuyerKeys, &buyerKeys},
	} {
		if setting.value == "" {
			return nil, nil, fmt.Errorf("%w: %s (%s) is not set; make a key with: echo k1:$(openssl rand -base64 32)", errMisuse, setting.flag, setting.name)
		}
		if *setting.into, err = ticket.ParseKeys(setting.name, setting.value); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errMisuse, err)
		}
	}
	return ticketKeys, buyerKeys, nil
}

// logSettings say what is logged.
type logSettings struct {
	LogLevel slog.Level `env:"ANTEROOM_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
}

func (s logSettings) logger(t terminal) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: s.LogLevel}))
}

// roles are the parts of the service that a process runs.
type roles struct {
	ingress, allocator bool
}

func parseRoles(names []string) (roles, error) {
	var r roles
	for _, name := range names {
		switch strings.TrimSpace(name) {
		case "ingress":
			r.ingress = true
		case "allocator":
			r.allocator = true
		default:
			return roles{}, fmt.Errorf("%w: unknown role %q: ingress or allocator", errMisuse, name)
		}
	}
	if r == (roles{}) {
		return roles{}, fmt.Errorf("%w: no role: ingress, allocator or both", errMisuse)
	}
	return r, nil
}
