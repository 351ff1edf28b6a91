package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

type serveCommand struct {
	Role []string `env:"ANTEROOM_ROLE" default:"ingress,allocator" help:"Parts to run in this process: ingress, allocator, webhook. An allocator brings webhook with it where a URL is set."`
	backendSettings
	RedisURL string `env:"ANTEROOM_REDIS_URL" placeholder:"URL" help:"Redis, as redis://host:port/0. It may be down while the service runs."`
	secretSettings
	identitySettings
	webhookSettings
	listenSettings
	DrainDelay time.Duration `env:"ANTEROOM_DRAIN_DELAY" default:"0s" help:"After being told to stop, how long to be unready before refusing work: what a load balancer needs to notice."`
	logSettings
	profileSettings
}

func (c *serveCommand) Run(ctx context.Context, t terminal) (err error) {
	parts, err := parseRoles(c.Role)
	if err != nil {
		return err
	}
	logger := c.logger(t)
	if err := c.validate(); err != nil {
		return err
	}
	if err := c.validateFor(parts, c.DecisionsTopic); err != nil {
		return err
	}
	if parts.ingress {
		if _, _, err := c.keys(); err != nil {
			return err // before anything is connected to
		}
		if _, err := c.checkout(); err != nil {
			return err
		}
		if _, err := c.identity(logger); err != nil {
			return err
		}
	}
	if c.RedisURL == "" {
		return fmt.Errorf("%w: --redis-url (ANTEROOM_REDIS_URL) is not set", errMisuse)
	}
	spendMemory(smallGOGC)
	stop, err := c.profileSettings.start(strings.Join(c.Role, "-"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	s, err := newService(ctx, serviceConfig{
		roles: parts, backends: c.backendSettings, redisURL: c.RedisURL, secrets: c.secretSettings,
		identity: c.identitySettings, webhooks: c.webhookSettings, listen: c.listenSettings, drainDelay: c.DrainDelay, logger: logger,
	})
	if err != nil {
		return err
	}
	if s.public != nil {
		logger.Info("listening for shoppers, merchants and operators", "address", s.public.Addr())
	}
	logger.Info("listening for the platform", "address", s.admin.Addr())
	return s.run(ctx)
}
