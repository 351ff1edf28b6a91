package ingress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// listener is a client of server-sent events.
type listener struct {
	mu     sync.Mutex
	header http.Header
	code   int
	text   bytes.Buffer
	fail   error
}

func (l *listener) Header() http.Header { return l.header }
func (l *listener) Flush()              {}
func (l *listener) WriteHeader(code int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.code = code
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	return l.text.Write(p)
}

type sent struct {
	id, event string
	status    status
}

// events gives what has come so far, comments left out, and their number.
func (l *listener) events(t *testing.T) (all []sent, comments int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for block := range strings.SplitSeq(l.text.String(), "\n\n") {
		var e sent
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.event = value
			case "data":
				if err := json.Unmarshal([]byte(value), &e.status); err != nil {
					t.Fatalf("%s: %v", value, err)
				}
			case ":":
				comments++
			}
		}
		if e.id != "" {
			all = append(all, e)
		}
	}
	return all, comments
}

// listen begins to follow a ticket, and gives what ends when the stream does.
func (i *Ingress) listen(ctx context.Context, ticket, lastEvent string) (*listener, <-chan struct{}) {
	l := &listener{header: http.Header{}}
	over := make(chan struct{})
	r := request("GET", "/queue/"+ticket+"/events", "", header{"Last-Event-ID": lastEvent}).WithContext(ctx)
	go func() {
		defer close(over)
		i.Handler().ServeHTTP(l, r)
	}()
	return l, over
}

func TestEvents(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		l, over := i.listen(t.Context(), s.Ticket, "")
		synctest.Wait()
		w.decide(0)
		synctest.Wait()
		w.start(0)
		synctest.Wait()
		pass(time.Minute)
		w.record(0, "", sale.Tick{})
		w.decide(0)
		<-over

		all, comments := l.events(t)
		var states []string
		for _, e := range all {
			states = append(states, fmt.Sprint(e.event, ":", e.status.State, ":", e.status.ExpiresAt != ""))
		}
		if got := strings.Join(states, " "); got != ":queued:false :held:false :held:true final:expired:false" {
			t.Errorf("events: %s", got)
		}
		if comments < 3 {
			t.Errorf("%d heartbeats in a minute", comments)
		}
		if !strings.HasPrefix(l.text.String(), "retry: ") || l.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("begins with %.20q, Content-Type %q", l.text.String(), l.header.Get("Content-Type"))
		}
		if n := i.streams.count(); n != 0 {
			t.Errorf("%d streams are left", n)
		}

		// A browser reconnects by itself.
		again, over := i.listen(t.Context(), s.Ticket, all[len(all)-1].id)
		<-over
		if again.code != http.StatusNoContent || again.text.Len() > 0 {
			t.Errorf("answered %d %s", again.code, again.text.String())
		}
		missed, over := i.listen(t.Context(), s.Ticket, all[1].id)
		<-over
		if all, _ := missed.events(t); len(all) != 1 || all[0].event != "final" {
			t.Errorf("who missed the end got %v", all)
		}
	})
}

func TestPositionsOfAStream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead       int
		least, most int // positions in a minute of one record a second
	}{
		"near": {100, 55, 70},
		"far":  {101_000, 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
				for range c.ahead {
					w.record(0, "", sale.Tick{})
				}
				s := i.buys(t, "ada")
				l, over := i.listen(t.Context(), s.Ticket, "")
				for second := range 60 {
					pass(time.Second)
					w.decideTo(0, w.parts[0].watermark+1)
					_ = second
				}
				synctest.Wait()
				all, _ := l.events(t)
				if len(all) < c.least || len(all) > c.most {
					t.Errorf("%d events", len(all))
				}
				for n := 1; n < len(all); n++ {
					if *all[n].status.Position >= *all[n-1].status.Position {
						t.Errorf("position %d after %d", *all[n].status.Position, *all[n-1].status.Position)
					}
				}
				_ = i.Drain(t.Context())
				<-over
			})
		})
	}
}

func TestStreamOfAnIngressThatIsBehind(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		deaf := w.ingressOf(t, nil)
		w.mute = 1
		for n := range 5 {
			i.buys(t, fmt.Sprint("buyer", n))
		}
		s := i.buys(t, "ada")
		w.decideTo(0, 5)
		synctest.Wait()
		l, over := i.listen(t.Context(), s.Ticket, "")
		synctest.Wait()
		all, _ := l.events(t)
		shown := *all[0].status.Position

		w.breakLedger(errors.New("postgres is down"))
		other, otherOver := deaf.listen(t.Context(), s.Ticket, all[0].id)
		pass(3 * time.Second)
		w.breakLedger(nil)
		pass(5 * time.Second)
		_ = i.Drain(t.Context())
		_ = deaf.Drain(t.Context())
		<-over
		<-otherOver
		all, _ = other.events(t)
		if len(all) != 2 || all[0].status.Position != nil || all[1].status.Position == nil || *all[1].status.Position > shown {
			t.Errorf("it sent %+v, %d was shown", all, shown)
		}
	})
}

func TestStreamsThatClientsLeave(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, w *world, i *Ingress) {
		s := i.buys(t, "ada")
		ctx, leave := context.WithCancel(t.Context())
		_, over := i.listen(ctx, s.Ticket, "")
		synctest.Wait()
		leave()
		<-over
		if n := i.streams.count(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		broken := &listener{header: http.Header{}, fail: errors.New("gone")}
		i.Handler().ServeHTTP(broken, request("GET", "/queue/"+s.Ticket+"/events", "", nil))
		if n := i.streams.count(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// onNetwork runs a test on real connections.
func onNetwork(t *testing.T, change func(*Config)) (*world, *Ingress, *httptest.Server) {
	t.Helper()
	w := newWorld()
	w.openSale("shirt", nil)
	w.decide(1)
	i := w.ingressOf(t, change)
	server := httptest.NewServer(i.Handler())
	t.Cleanup(server.Close)
	return w, i, server
}

func dial(ctx context.Context, t *testing.T, server *httptest.Server, path string) *websocket.Conn {
	t.Helper()
	connection, _, err := websocket.Dial(ctx, //nolint:bodyclose // Dial says that it is not to be closed
		strings.Replace(server.URL, "http", "ws", 1)+path, &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": {"https://shop.example"}},
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	return connection
}

type received struct {
	status
	After string `json:"after"`
}

func receive(ctx context.Context, t *testing.T, connection *websocket.Conn) received {
	t.Helper()
	_, text, err := connection.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var m received
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func closedWith(ctx context.Context, t *testing.T, connection *websocket.Conn, code websocket.StatusCode) {
	t.Helper()
	for {
		_, _, err := connection.Read(ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			t.Errorf("closed with %d (%v), expected %d", got, err, code)
		}
		return
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	w, i, server := onNetwork(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	first, second := i.buys(t, "ada"), i.buys(t, "bob")
	a, b := dial(ctx, t, server, "/queue/"+first.Ticket+"/ws"), dial(ctx, t, server, "/queue/"+second.Ticket+"/ws")
	if m := receive(ctx, t, a); m.State != sale.Queued || *m.Position != 0 {
		t.Errorf("%+v", m)
	}
	m := receive(ctx, t, b)
	if m.State != sale.Queued || *m.Position != 1 || m.Ticket != second.Ticket {
		t.Errorf("%+v", m)
	}
	// What a client says is thrown away.
	if err := b.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	w.decide(0)
	if m := receive(ctx, t, a); m.State != sale.Held || m.ExpiresAt != "" {
		t.Errorf("%+v", m)
	}
	w.start(0)
	if m := receive(ctx, t, a); m.State != sale.Held || m.ExpiresAt == "" {
		t.Errorf("%+v", m)
	}
	if m := receive(ctx, t, b); m.State != sale.SoldOut {
		t.Errorf("%+v", m)
	}
	closedWith(ctx, t, b, websocket.StatusNormalClosure)

	again := dial(ctx, t, server, "/queue/"+second.Ticket+"/ws?after="+m.After)
	if m := receive(ctx, t, again); m.State != sale.SoldOut {
		t.Errorf("%+v", m)
	}
	closedWith(ctx, t, again, websocket.StatusNormalClosure)

	// Too much is not.
	if err := a.Write(ctx, websocket.MessageText, make([]byte, 2*maxIncoming)); err != nil {
		t.Fatal(err)
	}
	closedWith(ctx, t, a, websocket.StatusMessageTooBig)
	<-i.streams.gone()
}

func TestEventsOnTheNetwork(t *testing.T) {
	t.Parallel()
	w, i, server := onNetwork(t, nil)
	s := i.buys(t, "ada")
	i.buys(t, "bob")
	response, err := server.Client().Get(server.URL + "/queue/" + s.Ticket + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	next := func(state sale.State) {
		t.Helper()
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			if !strings.Contains(data, `"state":"`+string(state)+`"`) {
				t.Fatalf("expected %s: %s", state, data)
			}
			return
		}
		t.Fatalf("the stream ended before %s", state)
	}
	next(sale.Queued) // it comes before there is more: it was flushed
	w.decide(0)
	next(sale.Held)
	w.record(0, "shirt", sale.Release{Request: 2, By: sale.ByShopper})
	w.decide(0)
	next(sale.Released)
	if lines.Scan() && lines.Text() != "" || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
	<-i.streams.gone()
}

func TestWebSocketHandshake(t *testing.T) {
	t.Parallel()
	_, i, server := onNetwork(t, nil)
	s := i.buys(t, "ada")
	a := i.call(t, "GET", "/queue/"+s.Ticket+"/ws", "", nil)
	a.refused(426, "upgrade_required")
	if a.header.Get("Upgrade") != "websocket" {
		t.Error("no Upgrade")
	}
	i.call(t, "GET", "/queue/"+s.Ticket+"/ws", "", header{"Upgrade": "websocket", "Connection": "Upgrade"}).refused(400, "invalid_request")
	request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/queue/"+s.Ticket+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Connection", "Upgrade")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != 400 || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d, Content-Type %q", response.StatusCode, response.Header.Get("Content-Type"))
	}
	<-i.streams.gone()
}

// TestHandshakeThroughAProxy, which has put a line of its own before the
// client's.
func TestHandshakeThroughAProxy(t *testing.T) {
	t.Parallel()
	_, i, server := onNetwork(t, nil)
	s := i.buys(t, "ada")
	request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/queue/"+s.Ticket+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"keep-alive", "Upgrade"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %s", response.Status)
	}
	_ = response.Body.Close()
	<-i.streams.gone()
}

func TestDrainOnTheNetwork(t *testing.T) {
	t.Parallel()
	_, i, server := onNetwork(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := i.buys(t, "ada")
	var clients []*websocket.Conn
	for range 5 {
		client := dial(ctx, t, server, "/queue/"+s.Ticket+"/ws")
		receive(ctx, t, client)
		clients = append(clients, client)
	}
	drained := make(chan error, 1)
	go func() { drained <- i.Drain(ctx) }()
	for _, client := range clients {
		closedWith(ctx, t, client, websocket.StatusServiceRestart)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
