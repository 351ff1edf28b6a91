package load

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// TestScheduleBeginsConnected: all of a crowd's connections are there when the
// first of its arrivals is answered, however few arrive.
func TestScheduleBeginsConnected(t *testing.T) {
	t.Parallel()
	const connections = 40
	var mu sync.Mutex
	made := 0
	all := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-all:
		case <-time.After(5 * time.Second):
			t.Error("a click came before everybody was connected")
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"ticket":"t","state":"sold_out"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			if made++; made == connections {
				close(all)
			}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	result := run(t.Context(), t, Phase{
		Do: Click, Addresses: []string{server.Listener.Addr().String()}, Connections: connections, Product: "console", Crowd: "c",
		Buyers: 2, Arrivals: Arrivals{Kind: Constant, Rate: 1000},
	})[0].Result
	if result == nil || result.Accepted != 2 {
		t.Errorf("brought %+v", result)
	}
}
