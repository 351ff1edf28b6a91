// Package event is what anteroom writes to its topics and its channel: the
// schema of the records, and of the messages by which an owner tells boards
// what it has committed.
//
// A record's value is one JSON object whose first member is "type". It is read
// strictly (RFC 8259 without duplicate names, unknown members or invalid
// UTF-8; names match exactly), because every later version of the program must
// read an old log in the same way. Offsets are integers within the record's
// partition, times are milliseconds since the Unix epoch, UTC.
//
// The package has no goroutines.
package event
