package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit/snapshot"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditVerifyCommand struct {
	auditLog
	auditLedger
	Product string `placeholder:"PRODUCT" help:"Compare only the partition that this product belongs to."`
	Keep    bool   `help:"Keep the state of each partition that is found equal in the folder of --snapshots. The latest three of each stay."`
	JSON    bool   `help:"Print what was found as one JSON object."`
}

// auditLedger says where the ledger is.
type auditLedger struct {
	PostgresURL string `name:"postgres-url" env:"ANTEROOM_POSTGRES_URL" placeholder:"URL" help:"Postgres, as postgres://user:password@host:port/database."`
}

// open opens the ledger for reading. It is to be closed.
func (l auditLedger) open(ctx context.Context) (*postgres.Auditor, error) {
	if l.PostgresURL == "" {
		return nil, fmt.Errorf("%w: --postgres-url (ANTEROOM_POSTGRES_URL) is not set", errMisuse)
	}
	checking, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	if err := postgres.CheckSchema(checking, l.PostgresURL); err != nil {
		return nil, fmt.Errorf("checking the database: %w", err)
	}
	return postgres.NewAuditor(ctx, postgres.Config{URL: l.PostgresURL, Connections: 1})
}

func (c *auditVerifyCommand) Run(ctx context.Context, t terminal) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	if c.Keep && c.Snapshots == "" {
		return fmt.Errorf("%w: --keep needs --snapshots (ANTEROOM_SNAPSHOTS)", errMisuse)
	}
	defer boundMemory()()
	history, closeLog, err := c.auditLog.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	ledger, err := c.auditLedger.open(ctx)
	if err != nil {
		return err
	}
	defer ledger.Close()
	config := verify.Config{History: history, Ledger: ledger, Product: sale.Product(c.Product)}
	if c.Keep {
		config.Keep = snapshot.In(c.Snapshots)
	}
	found, err := verify.Run(ctx, config)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t, found)
	} else {
		printVerification(t, &found)
	}
	if err != nil {
		return err
	}
	if !found.Equal {
		return errFalse
	}
	return nil
}

// interrupted says that a command that changes nothing was, in place of what that
// led to.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; nothing was changed")
	}
	return err
}

func printVerification(t terminal, v *verify.Result) {
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.To == 0 && p.Equal {
			continue // nothing was ever in it
		}
		verdict := "equal"
		if !p.Equal {
			verdict = fmt.Sprintf("%d differences", p.Differences)
		}
		fmt.Fprintf(t.out, "partition %d  [%d, %d)  %s\n  records    %s\n  decisions  %s\n",
			p.Partition, p.From, p.To, verdict, p.RecordDigest, p.DecisionDigest)
		if p.FirstDifference != nil {
			fmt.Fprintf(t.out, "  first at %s\n", p.FirstDifference)
		}
		if p.Undecided > 0 {
			fmt.Fprintf(t.out, "  %d records at the log's end were not decided yet\n", p.Undecided)
		}
	}
	fmt.Fprintln(t.out, verificationLine(v))
}

// verificationLine sums up what was compared.
func verificationLine(v *verify.Result) string {
	verdict := "the ledger is what the log decides"
	if !v.Equal {
		verdict = "THE LEDGER IS NOT WHAT THE LOG DECIDES"
	}
	return fmt.Sprintf("%s: %d records and %d decisions in %d partitions, %.0f records a second",
		verdict, v.Records, v.Decisions, len(v.Partitions), v.RecordsPerSecond)
}
