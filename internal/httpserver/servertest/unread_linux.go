package servertest

import (
	"net"
	"syscall"
	"unsafe"
)

// unread asks the kernel how much it holds for a connection's reader.
func unread(conn *net.TCPConn) (int, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var n int32
	var failed syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	})
	return int(n), err == nil && failed == 0
}
