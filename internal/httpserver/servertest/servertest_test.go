package servertest

import (
	"io"
	"log"
	"net/http"
	"testing"
)

// netHTTP is the measure.
func netHTTP(h http.Handler, limits Limits) Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.ReadHeader,
		IdleTimeout:       limits.Idle,
		WriteTimeout:      limits.Write,
		MaxHeaderBytes:    limits.MaxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
}

// TestNetHTTP passes its own measure, on a network as in memory.
func TestNetHTTP(t *testing.T) {
	t.Parallel()
	Run(t, netHTTP)
}

func FuzzNetHTTP(f *testing.F) { Fuzz(f, netHTTP) }
