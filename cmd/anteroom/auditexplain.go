package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/anteroomhq/anteroom/internal/audit/explain"
	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

type auditExplainCommand struct {
	Request    string `arg:"" help:"A public id, as 0-42 (partition and offset), or a ticket."`
	TicketKeys string `env:"ANTEROOM_TICKET_KEYS" placeholder:"ID:BASE64,..." help:"Keys that a ticket is verified with. Not set: what it says is held against the log alone."`
	JSON       bool   `help:"Print JSON, for programs."`
	auditLog
}

// Help is shown before the flags.
func (*auditExplainCommand) Help() string {
	return "It needs the log alone, and a snapshot from before the request's sale will do. A ticket opens a request, a public id nothing: give the id where others can read along. Exit code 1: there is no such request, or the ticket is none of this log's."
}

func (c *auditExplainCommand) Run(ctx context.Context, t terminal) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	asked, err := c.asked()
	if err != nil {
		return c.answered(t, err)
	}
	history, closeLog, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer closeLog()
	defer boundMemory()()
	if err := asked.belongs(ticket.LogIDOf(history.Log.Topic())); err != nil {
		return c.answered(t, err)
	}
	story, err := explain.Request(ctx, history, asked.partition, asked.offset)
	switch {
	case errors.Is(err, explain.ErrNoRequest):
		return c.answered(t, err)
	case err != nil:
		return fmt.Errorf("explaining: %w", err)
	}
	if err := asked.agrees(story); err != nil {
		return c.answered(t, err)
	}
	if c.JSON {
		return printJSON(t, explanation{Found: true, Ticket: asked.standing(), Story: story})
	}
	if asked.standing() == ticketUnverified {
		fmt.Fprintln(t.err, "The ticket's signature was not checked, as --ticket-keys (ANTEROOM_TICKET_KEYS) is not set. What it says is so in the log.")
	}
	if _, err := fmt.Fprint(t.out, story.Text()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// explanation is what is printed as JSON.
type explanation struct {
	Found  bool           `json:"found"`
	Why    string         `json:"why,omitzero"`    // where it is not found
	Ticket string         `json:"ticket,omitzero"` // where one was given
	Story  *explain.Story `json:"story,omitzero"`
}

// answered prints what was found instead of a request.
func (c *auditExplainCommand) answered(t terminal, found error) error {
	if errors.Is(found, errMisuse) {
		return found
	}
	if c.JSON {
		if err := printJSON(t, explanation{Why: found.Error()}); err != nil {
			return err
		}
		return errFalse
	}
	if _, err := fmt.Fprintln(t.out, found); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return errFalse
}

// Answers to tickets that explain no request.
var (
	errForged  = errors.New("the ticket is forged, or signed by a key that is not among --ticket-keys (ANTEROOM_TICKET_KEYS)")
	errForeign = errors.New("the ticket is of another log")
)

// askedRequest is a request as it was asked for.
type askedRequest struct {
	partition int32
	offset    sale.Offset
	ticket    *ticket.Ticket // nil: by its public id
	verified  bool
}

// Standings of a ticket.
const (
	ticketVerified   = "verified"
	ticketUnverified = "unverified" // but what it says is so in the log
)

// asked reads the argument.
func (c *auditExplainCommand) asked() (askedRequest, error) {
	var ring *ticket.Keyring
	if c.TicketKeys != "" {
		keys, err := ticket.ParseKeys("ANTEROOM_TICKET_KEYS", c.TicketKeys)
		if err != nil {
			return askedRequest{}, fmt.Errorf("%w: %w", errMisuse, err)
		}
		if ring, err = ticket.NewKeyring(keys); err != nil {
			return askedRequest{}, fmt.Errorf("%w: ANTEROOM_TICKET_KEYS: %w", errMisuse, err)
		}
	}
	if partition, offset, err := ticket.ParsePublicID(c.Request); err == nil {
		return askedRequest{partition: partition, offset: sale.Offset(offset)}, nil
	}
	said, err := ticket.Unverified(c.Request)
	if err != nil {
		return askedRequest{}, fmt.Errorf("%w: the request is named neither by a public id, as 0-42, nor by a ticket", errMisuse)
	}
	if ring != nil {
		if _, err := ring.Verify(c.Request); err != nil {
			return askedRequest{}, errForged
		}
	}
	return askedRequest{partition: said.Partition, offset: sale.Offset(said.Offset), ticket: &said, verified: ring != nil}, nil
}

// belongs refuses a ticket of another log.
func (a askedRequest) belongs(log ticket.LogID) error {
	if a.ticket != nil && a.ticket.Log != log {
		return fmt.Errorf("%w: of the one whose topic's id begins with %x, and this one's with %x", errForeign, a.ticket.Log, log)
	}
	return nil
}

// agrees refuses a ticket that says otherwise than the log.
func (a askedRequest) agrees(story *explain.Story) error {
	said := a.ticket
	if said == nil || said.Product == string(story.Product) && sale.Offset(said.Sale) == story.Named &&
		int64(said.Quantity) == story.Quantity && event.Instant(said.AcceptedAt) == story.Accepted {
		return nil
	}
	return fmt.Errorf("the ticket is forged: it names request %s, and what else it says of that is not so in the log", story.ID)
}

func (a askedRequest) standing() string {
	switch {
	case a.ticket == nil:
		return ""
	case a.verified:
		return ticketVerified
	}
	return ticketUnverified
}
