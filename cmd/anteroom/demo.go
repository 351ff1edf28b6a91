package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit/verify"
	"github.com/anteroomhq/anteroom/internal/lab"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/sale"
)

type demoCommand struct {
	backendChoice
	Buyers      int    `default:"100000" help:"Shoppers who press Buy."`
	Units       int64  `default:"2" help:"Units on sale."`
	Policy      string `enum:"waitlist,queue,reject" default:"waitlist" help:"What happens to those who come after the last unit: waitlist, queue or reject."`
	Connections int    `default:"256" help:"Requests under way at once."`
	Keep        bool   `help:"Leave everything running afterwards, until ^C."`
	JSON        bool   `help:"Print the summary as one JSON object."`
}

// demoReport is the summary. All but the last part is computed from what
// shoppers were told.
type demoReport struct {
	lab.Result
	Units             int64             `json:"units"`
	Oversold          int64             `json:"oversold"`
	AcceptedPerSecond float64           `json:"accepted_per_second"` // clicks that got a ticket
	AnsweredPerSecond float64           `json:"answered_per_second"` // clicks that got a ticket or a refusal
	Backends          map[string]string `json:"backends"`
	Audit             demoAudit         `json:"audit"`
	Broken            []string          `json:"broken,omitempty"` // promises, in words
}

// demoAudit is what a replay of the log has found afterwards.
type demoAudit struct {
	Equal     bool    `json:"equal"`
	Records   int64   `json:"records"`
	Decisions int64   `json:"decisions"`
	Seconds   float64 `json:"seconds"`

	line string // the same for people
}

func (c *demoCommand) Run(ctx context.Context, t terminal) (err error) {
	if c.Buyers < 1 || c.Units < 1 || c.Connections < 1 {
		return fmt.Errorf("%w: --buyers, --units and --connections are at least 1", errMisuse)
	}
	fmt.Fprintln(t.err, "anteroom demo: starting backends")
	stamp := strconv.FormatInt(time.Now().UnixMilli(), 36) // tells runs on the same servers apart
	running, err := startDev(ctx, t, devConfig{
		choice: c.backendChoice, topic: "anteroom.demo." + stamp, run: "anteroom_demo_" + stamp, logLevel: slog.LevelError,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()

	const product = "demo"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer running.whenEnded(cancel)() // a crowd without a service would wait for long

	operator, err := client.New(client.Config{URL: running.url(), OperatorToken: running.secrets.OperatorToken})
	if err != nil {
		return err
	}
	created, err := operator.CreateSale(ctx, client.NewSale{
		Product: product, Quantity: c.Units, Policy: c.Policy, Actor: "demo", Reason: "demo",
		HoldSeconds: 3600, // winners pay when everybody has clicked, however long that takes
	})
	if err != nil {
		return fmt.Errorf("opening the sale: %w", err)
	}
	fmt.Fprintf(t.err, "sale %s of %s is open at %s: %d units, %d shoppers press Buy\n", created.Sale, product, running.url(), c.Units, c.Buyers)

	result, err := c.sendCrowd(ctx, t, running, product)
	if err != nil {
		return err
	}
	report := demoReport{Result: result, Units: c.Units, Backends: running.backends.kinds}
	report.Oversold = max(0, int64(result.Sold)+int64(result.Outcomes[sale.Held])-c.Units)
	if result.ClickSeconds > 0 {
		report.AcceptedPerSecond = float64(result.Accepted) / result.ClickSeconds
		report.AnsweredPerSecond = float64(result.Buyers) / result.ClickSeconds
	}
	report.Broken, err = c.check(ctx, running, product, &report)
	if err != nil {
		return err
	}
	if !c.Keep {
		unanswered, err := c.endSale(ctx, running, operator, product)
		if err != nil {
			return err
		}
		report.Broken = append(report.Broken, unanswered...)
	}
	if err := c.audit(ctx, t, running, &report); err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t, report)
	} else {
		err = printReport(t, &report)
	}
	if err != nil {
		return err
	}
	if c.Keep {
		running.describe(t)
		fmt.Fprintln(t.err, "^C ends it.")
		if err := running.wait(ctx); err != nil {
			return err
		}
	}
	if len(report.Broken) > 0 {
		return errFalse
	}
	return nil
}

// sendCrowd runs the crowd in a process of its own and shows what it reports.
func (c *demoCommand) sendCrowd(ctx context.Context, t terminal, running *devService, product string) (lab.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return lab.Result{}, fmt.Errorf("finding this program: %w", err)
	}
	crowd := exec.CommandContext(ctx, self, "crowd",
		"--addresses", running.address(), "--product", product,
		"--buyers", strconv.Itoa(c.Buyers), "--connections", strconv.Itoa(c.Connections))
	crowd.Env = append(os.Environ(), "ANTEROOM_MERCHANT_TOKEN="+running.secrets.MerchantToken)
	crowd.Stderr = t.err
	crowd.Cancel = func() error { return crowd.Process.Signal(syscall.SIGINT) }
	crowd.WaitDelay = 5 * time.Second
	lines, err := crowd.StdoutPipe()
	if err != nil {
		return lab.Result{}, fmt.Errorf("starting the crowd: %w", err)
	}
	if err := crowd.Start(); err != nil {
		return lab.Result{}, fmt.Errorf("starting the crowd: %w", err)
	}
	shown := newView(t, c.Buyers)
	var result *lab.Result
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		var line crowdLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			continue // the process's end says what is wrong
		}
		if line.Progress != nil {
			shown.update(*line.Progress)
		}
		if line.Result != nil {
			result = line.Result
		}
	}
	shown.end()
	if err := crowd.Wait(); err != nil {
		return lab.Result{}, fmt.Errorf("the crowd's process: %w", errors.Join(err, ctx.Err()))
	}
	if result == nil {
		return lab.Result{}, errors.New("the crowd's process gave no result")
	}
	return *result, nil
}

// check holds what shoppers were told against the promises and the ledger.
func (c *demoCommand) check(ctx context.Context, running *devService, product string, report *demoReport) ([]string, error) {
	ledger, err := running.reader.Tally(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	tally, ok := findTally(ledger, product)
	if !ok {
		return []string{"the ledger does not have the sale"}, nil
	}
	return broken(report, tally), nil
}

// audit replays the log and compares what it decides with the ledger.
func (c *demoCommand) audit(ctx context.Context, t terminal, running *devService, report *demoReport) error {
	at := running.config.backends
	history, closeLog, err := auditLog{KafkaBrokers: at.KafkaBrokers, Topic: at.Topic}.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	ledger, err := auditLedger{PostgresURL: at.PostgresURL}.open(ctx)
	if err != nil {
		return err
	}
	defer ledger.Close()
	found, err := verify.Run(ctx, verify.Config{History: history, Ledger: ledger})
	if err != nil {
		return fmt.Errorf("auditing the run: %w", err)
	}
	report.Audit = demoAudit{Equal: found.Equal, Records: found.Records, Decisions: found.Decisions, Seconds: found.Seconds, line: verificationLine(&found)}
	for _, p := range found.Partitions {
		if p.FirstDifference != nil {
			report.Broken = append(report.Broken, fmt.Sprintf("partition %d of the ledger is not what the log decides, first at %s", p.Partition, p.FirstDifference))
		}
	}
	return nil
}

// endSale closes the sale, which is the answer to those who still wait.
func (c *demoCommand) endSale(ctx context.Context, running *devService, operator *client.Client, product string) ([]string, error) {
	if _, err := operator.Close(ctx, product, client.Why{Actor: "demo", Reason: "everybody has clicked"}); err != nil {
		return nil, fmt.Errorf("closing the sale: %w", err)
	}
	ledger, err := running.reader.Tally(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	tally, ok := findTally(ledger, product)
	if !ok {
		return []string{"the ledger does not have the sale any more"}, nil
	}
	if waiting := tally.Rows[sale.Waitlisted].Requests; waiting > 0 || tally.Sale.Stage != sale.StageClosed {
		return []string{fmt.Sprintf("%d shoppers still wait in a sale that is %s", waiting, tally.Sale.Stage)}, nil
	}
	return nil, nil
}

// broken gives the promises that are broken, in words.
func broken(report *demoReport, ledger postgres.SaleTally) []string {
	var found []string
	promise := func(kept bool, format string, values ...any) {
		if !kept {
			found = append(found, fmt.Sprintf(format, values...))
		}
	}
	refused, told := 0, 0
	for code, n := range report.Refused {
		refused += n
		promise(code == "sold_out", "%d shoppers were refused with %s", n, code)
	}
	for _, n := range report.Outcomes {
		told += n
	}
	promise(report.Accepted > 0, "nobody got a ticket")
	promise(report.Accepted+refused == report.Buyers, "%d got a ticket and %d were refused, of %d shoppers", report.Accepted, refused, report.Buyers)
	promise(told == report.Accepted, "%d got a ticket, and %d went away with a state", report.Accepted, told)
	promise(report.Oversold == 0, "%d units oversold", report.Oversold)
	promise(report.Undecided == 0, "%d tickets without an outcome", report.Undecided)
	promise(report.MultipleOutcomes == 0, "%d outcomes contradicted an earlier one", report.MultipleOutcomes)
	promise(report.PositionRises == 0, "%d places moved back", report.PositionRises)
	promise(int64(report.Sold) == ledger.Sale.Confirmed, "shoppers were told of %d sold units, the ledger has %d", report.Sold, ledger.Sale.Confirmed)
	promise(ledger.Sale.Balanced(), "the ledger's units do not add up")
	// Who asked again after an answer got lost has two requests in the log and
	// one ticket, so the log may have more.
	promise(ledger.Sale.Requests >= int64(report.Accepted), "%d tickets, but only %d requests decided", report.Accepted, ledger.Sale.Requests)
	taken := ledger.Sale.Confirmed + ledger.Sale.Held
	promise(taken >= min(report.Units, int64(report.Accepted)), "%d units stayed unsold while %d shoppers asked", report.Units-taken, report.Accepted)
	for state, seen := range report.Outcomes {
		has := ledger.Rows[state].Requests
		if state == sale.SoldOut {
			has = ledger.Sale.SoldOut
		}
		promise(int64(seen) <= has, "%d shoppers were told %s, the ledger has %d", seen, state, has)
		if int64(report.Accepted) == ledger.Sale.Requests {
			promise(int64(seen) == has, "%d shoppers were told %s, the ledger has %d for as many requests", seen, state, has)
		}
	}
	return found
}

func findTally(ledger postgres.Tally, product string) (postgres.SaleTally, bool) {
	for _, partition := range ledger.Partitions {
		for _, tally := range partition.Sales {
			if string(tally.Sale.Product) == product {
				return tally, true
			}
		}
	}
	return postgres.SaleTally{}, false
}
