package ticket

import "crypto/sha256"

// Unverified reads what a text says that has the form of a ticket. It proves
// nothing: anybody can write such a text. It is for those who hold what it says
// against the log, and grant nothing by it. The error is ErrInvalid.
func Unverified(text string) (Ticket, error) {
	var buffer [MaxLength]byte
	sealed, ok := decodeText(&buffer, text)
	if !ok || len(sealed) < 1+sha256.Size || sealed[0] != version {
		return Ticket{}, ErrInvalid
	}
	id, contents, ok := cutKeyID(sealed[1 : len(sealed)-sha256.Size])
	if !ok || !isKeyID(string(id)) {
		return Ticket{}, ErrInvalid
	}
	t, ok := parseContents(contents)
	if !ok {
		return Ticket{}, ErrInvalid
	}
	return t, nil
}
