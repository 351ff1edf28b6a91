package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/anteroomhq/anteroom/internal/ingress"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

// backendSettings say where the real backends are.
type backendSettings struct {
	KafkaBrokers   []string `env:"ANTEROOM_KAFKA_BROKERS" placeholder:"HOST:PORT" help:"Kafka's bootstrap brokers."`
	Topic          string   `env:"ANTEROOM_TOPIC" default:"anteroom.requests" help:"The topic that is the log."`
	DecisionsTopic string   `env:"ANTEROOM_DECISIONS_TOPIC" default:"anteroom.decisions" help:"The topic on which decisions are published for other systems. Empty: they are not."`
	SingleBroker   bool     `env:"ANTEROOM_SINGLE_BROKER" help:"Accept a topic with one replica: its broker's disk is then all there is."`
	PostgresURL    string   `name:"postgres-url" env:"ANTEROOM_POSTGRES_URL" placeholder:"URL" help:"Postgres, as postgres://user:password@host:port/database."`
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
	CheckoutKeys  string `env:"ANTEROOM_CHECKOUT_KEYS" placeholder:"ID:BASE64,..." help:"Keys that sign the tokens with which shoppers are handed over to a checkout, newest first: seeds of Ed25519 keys, 32 bytes each. Not set: they go there without a token."`
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

// checkout reads the keys of checkout tokens, which may be missing.
func (s secretSettings) checkout() (*ingress.Checkout, error) {
	var keys ticket.Keys
	if s.CheckoutKeys != "" {
		var err error
		if keys, err = ticket.ParseKeys("ANTEROOM_CHECKOUT_KEYS", s.CheckoutKeys); err != nil {
			return nil, fmt.Errorf("%w: %w", errMisuse, err)
		}
	}
	checkout, err := ingress.NewCheckout(keys)
	if err != nil {
		return nil, fmt.Errorf("%w: ANTEROOM_CHECKOUT_KEYS: %w", errMisuse, err)
	}
	return checkout, nil
}

// identitySettings say from what shoppers are known.
type identitySettings struct {
	TrustedProxies []string `env:"ANTEROOM_TRUSTED_PROXIES" placeholder:"CIDR" help:"Networks of the gateways whose X-Buyer-ID is believed: the peer of the connection counts, not X-Forwarded-For. Such a gateway must not pass on a shopper's own X-Buyer-ID. Default: 127.0.0.0/8,::1/128, that is, a gateway on the same machine; with --jwks: none."`
	JWKS           string   `name:"jwks" env:"ANTEROOM_JWKS" placeholder:"FILE|URL" help:"Keys (a JSON Web Key Set) of the issuer of shoppers' tokens, sent as Authorization: Bearer and signed by RS256, ES256 or EdDSA: the sub is the buyer. X-Buyer-ID is then not accepted, unless --trusted-proxies is given too."`
	JWTIssuer      string   `name:"jwt-issuer" env:"ANTEROOM_JWT_ISSUER" placeholder:"ISS" help:"The iss of shoppers' tokens. Needed with --jwks."`
	JWTAudience    string   `name:"jwt-audience" env:"ANTEROOM_JWT_AUDIENCE" placeholder:"AUD" help:"The aud of shoppers' tokens. Needed with --jwks."`
}

// identity reads the settings. Its Tokens, if there are any, are to be run.
func (s identitySettings) identity(logger *slog.Logger) (ingress.Identity, error) {
	var identity ingress.Identity
	var err error
	if identity.Proxies, err = ingress.ParseNetworks(s.TrustedProxies); err != nil {
		return identity, fmt.Errorf("%w: --trusted-proxies (ANTEROOM_TRUSTED_PROXIES): %w", errMisuse, err)
	}
	switch {
	case s.JWKS == "" && (s.JWTIssuer != "" || s.JWTAudience != ""):
		return identity, fmt.Errorf("%w: --jwt-issuer and --jwt-audience mean nothing without --jwks (ANTEROOM_JWKS)", errMisuse)
	case s.JWKS == "" && len(s.TrustedProxies) == 0:
		identity.Proxies = ingress.Loopback()
		return identity, nil
	case s.JWKS == "":
		return identity, nil
	case s.JWTIssuer == "" || s.JWTAudience == "":
		return identity, fmt.Errorf("%w: --jwks needs --jwt-issuer (ANTEROOM_JWT_ISSUER) and --jwt-audience (ANTEROOM_JWT_AUDIENCE)", errMisuse)
	}
	identity.Tokens, err = ingress.NewTokens(ingress.TokenConfig{
		Issuer: s.JWTIssuer, Audience: s.JWTAudience, JWKS: s.JWKS, Logger: logger,
	})
	if err != nil {
		return identity, fmt.Errorf("%w: --jwks (ANTEROOM_JWKS): %w", errMisuse, err)
	}
	return identity, nil
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
	ingress, allocator, webhook bool
}

func parseRoles(names []string) (roles, error) {
	var r roles
	for _, name := range names {
		switch strings.TrimSpace(name) {
		case "ingress":
			r.ingress = true
		case "allocator":
			r.allocator = true
		case "webhook":
			r.webhook = true
		default:
			return roles{}, fmt.Errorf("%w: unknown role %q: ingress, allocator or webhook", errMisuse, name)
		}
	}
	if r == (roles{}) {
		return roles{}, fmt.Errorf("%w: no role: ingress, allocator, webhook", errMisuse)
	}
	return r, nil
}
