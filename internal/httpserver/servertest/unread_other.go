//go:build !linux

package servertest

import "net"

// unread is not known here: what is to arrive apart may arrive together.
func unread(*net.TCPConn) (int, bool) { return 0, false }
