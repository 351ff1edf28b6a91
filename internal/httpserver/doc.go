// Package httpserver serves HTTP/1.1 to a crowd: plain calls itself, and all
// others by net/http.
//
// Most of what a click costs is not deciding but sockets and HTTP: net/http
// listens for a client that leaves while its call is served, sets a timer for
// each deadline, and makes headers, buffers and a clone of them anew for each
// answer. A shopper's call needs none of that. This server reads a narrow
// grammar (see parse): one whole request of a few kilobytes with a length or
// no body, each header once, in plain characters. It calls the handler, which
// is the same one, and writes the whole answer at once.
//
// Whatever is not of the grammar, or is a stream, is not refused but handed
// over: the connection goes to net/http with all bytes from that request on,
// for good. So net/http alone says what the unusual means, and there is nothing
// here to be lenient about. What this package must hold is therefore that a
// request of the grammar means here what it means there; servertest compares
// the two byte by byte.
//
// What always holds:
//   - A handler is called with a whole request; it is handed over before that,
//     or not at all.
//   - An answer is written whole, or its connection ends.
//   - Every wait has a limit: for a request to be whole, for the next one, for
//     a client to read. They are kept by a sweep four times a second, and not
//     by timers.
//   - A request's context is cancelled when the handler returns, or soon after
//     its client has left. Like the request it is not to be kept longer; what
//     is derived from it with an end of its own may be.
//
// Serve owns the accepting, the sweeping and a goroutine for each connection;
// Shutdown waits for them.
package httpserver
