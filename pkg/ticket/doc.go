// Package ticket makes and checks what a shopper carries instead of a session:
// the signed ticket that stands for one request in the log, the markers that
// say how far a client has read, and the pseudonyms under which buyers appear
// in the log.
//
// What always holds:
//   - A ticket is verified with no I/O, and the text of a ticket is the only
//     text that verifies to it: there is one encoding, and every other is
//     refused.
//   - Whatever does not verify gives ErrInvalid and no reason, so an answer
//     never helps to forge.
//   - A tag made for one purpose (ticket, mark, pseudonym) is never good for
//     another one, even under the same key.
//   - No secret is printed by fmt or slog, whatever the verb and however deep
//     the key lies in what is printed; errors never quote one.
//
// The encodings are contracts with what is already stored (tickets in
// shoppers' hands, pseudonyms in the log); known answers in the tests hold them
// in place.
//
// The package imports only the standard library and starts no goroutines.
// Keyring and Pseudonyms are safe for concurrent use and never change.
package ticket
