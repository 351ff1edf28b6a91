// Package whatif replays a sale as it was and, record for record beside it, as
// it would have been with other settings.
package whatif
