package devstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are taken from below the range that systems use for outgoing
// connections (Linux: from 32768). A backend that is restarted on its port
// would otherwise find it taken by one of the thousands of client connections
// that a load test opens, or by a client's connection to itself.
const (
	lowestPort  = 15000
	highestPort = 31999
)

// FreePort finds a TCP port on the loopback interface that nothing listens on.
// It stays free until somebody takes it: a caller that loses the race tries
// again with another one.
func FreePort() (int, error) {
	const attempts = 100
	for range attempts {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("giving back port %d: %w", port, err)
		}
		return port, nil
	}
	return 0, fmt.Errorf("finding a free port: none in %d attempts", attempts)
}

// loopback is the address of a port on the loopback interface.
func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// withPort calls start with the port that was asked for, or, when that is 0,
// with a free one, and with another one when the backend ended at once, because
// the port may have been taken in between.
func withPort(asked int, start func(port int) error) error {
	if asked != 0 {
		return start(asked)
	}
	const attempts = 3
	var last error
	for range attempts {
		port, err := FreePort()
		if err != nil {
			return err
		}
		last = start(port)
		portWasTaken := errors.Is(last, errEndedAtOnce) || errors.Is(last, syscall.EADDRINUSE)
		if !portWasTaken {
			return last
		}
	}
	return last
}
