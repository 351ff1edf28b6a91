package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// allocatorAdmin serves the platform for a process without an ingress. Such a
// process is ready while it runs: being assigned nothing is no fault of it.
func (s *service) allocatorAdmin() http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // the platform has gone: nothing to do
	}
	mux.HandleFunc("GET /livez", ok)
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}
