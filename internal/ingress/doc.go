// Package ingress is the role at the edge: it takes a shopper's click, asks the
// gate, appends a record to the log, and answers with a signed ticket; and it
// shows whoever has a ticket what became of it, by polling, WebSocket or
// server-sent events. Merchants and operators reach it with bearer tokens.
//
// What always holds:
//   - It decides nothing. What it says of a request comes from the board; what
//     it wants to change it appends to the log.
//   - Only what is well formed and names a known sale reaches the log.
//   - A record is appended under the process's context: a shopper who leaves
//     harms nobody's batch, and an answer of 503 means "unknown", not "no".
//   - While a buyer's click is in flight here, another one of the same buyer
//     joins it: between the append and the moment when the gate remembers it,
//     a double click makes no second record.
//   - A click that the sale's decided state refuses costs no call of a backend.
//     A buyer of whom this ingress remembers a live request is given its ticket
//     there too: see door.go and recent.go.
//   - Within one state it never shows a position above one that the client has
//     seen, also if another ingress showed it, as far as the client says what
//     that was: see markers.go.
//   - Tickets, buyers and tokens appear in no log line and in no metric.
//   - Every wait is bounded: see the constants in ingress.go.
//
// Goroutines of requests are net/http's. A WebSocket goes on after its handler
// has returned, on goroutines of its own: one reads until the connection ends,
// and another one is there while something is to be told; see socket.go. Each
// socket owns its goroutines and the last of them closes it. Drain ends them
// all and waits until they are gone: http.Server.Shutdown does not know of them.
// The log and the gate call back from their own.
package ingress
