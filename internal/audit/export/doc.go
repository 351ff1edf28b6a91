// Package export writes a log with everything that it decided, for other
// programs, and checks such a file by deciding it all again. The page in
// cmd/replay does that in a browser.
package export
