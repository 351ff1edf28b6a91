package main

import (
	"context"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit/snapshot"
	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type auditVerifyCommand struct {
	Product *string `placeholder:"PRODUCT" help:"Only the partition that this product belongs to."`
	Keep    bool    `help:"Keep the state of each partition that is found equal, in the folder of --snapshots. The latest three of each stay."`
	JSON    bool    `help:"Print JSON, for programs."`
	auditLog
	auditLedger
}

// Help is shown before the flags.
func (*auditVerifyCommand) Help() string {
	return "The ledger is read as it is at one moment, and neither it nor the log is changed. What a snapshot stands for is compared with the ledger, and not decided again. Exit code 1: the ledger is not what the log decides; where it departs is said for each partition."
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
	if err := checkProduct(c.Product); err != nil {
		return err
	}
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
	config := verify.Config{History: history, Ledger: ledger, Product: sale.Product(orZero(c.Product))}
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

func printVerification(t terminal, v *verify.Result) {
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.To == 0 && p.Equal {
			continue // nothing was ever in it
		}
		verdict := "equal"
		if !p.Equal {
			verdict = quantity(p.Differences, "difference")
		}
		fmt.Fprintf(t.out, "partition %d  [%d, %d)  %s\n  records    %s\n  decisions  %s\n",
			p.Partition, p.From, p.To, verdict, p.RecordDigest, p.DecisionDigest)
		if p.FirstDifference != nil {
			fmt.Fprintf(t.out, "  first at %s\n", p.FirstDifference)
		}
		if p.Undecided > 0 {
			fmt.Fprintf(t.out, "  not decided yet: %s at the log's end\n", quantity(p.Undecided, "record"))
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
	return fmt.Sprintf("%s: %s and %s in %s, %.0f records a second", verdict,
		quantity(v.Records, "record"), quantity(v.Decisions, "decision"), quantity(int64(len(v.Partitions)), "partition"), v.RecordsPerSecond)
}
