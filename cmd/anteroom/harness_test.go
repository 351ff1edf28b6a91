package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/devstack"
	"github.com/anteroomhq/anteroom/internal/devstack/devstacktest"
	"github.com/anteroomhq/anteroom/internal/kafka"
	"github.com/anteroomhq/anteroom/internal/postgres"
	"github.com/anteroomhq/anteroom/pkg/client"
	"github.com/anteroomhq/anteroom/pkg/ticket"
)

func TestMain(m *testing.M) {
	devstacktest.Main(m, func() error { return os.RemoveAll(programFolder) }, undescribed)
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// await waits until done says so.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// world is a topic and a database with everything that is needed to run the
// service on them, in this process or in others.
type world struct {
	kafka, redis, postgres, topic string
	secrets                       secretSettings
	reader                        *postgres.Reader
}

// newWorld migrates the backends.
func newWorld(t testing.TB, b devstacktest.Backends, partitions int32) *world {
	t.Helper()
	secrets, err := devSecrets("")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		kafka: strings.Join(b.KafkaBrokers, ","), redis: b.RedisURL, postgres: b.PostgresURL, topic: b.Topic, secrets: secrets,
	}
	err = migrate(t.Context(), migration{
		kafka: w.kafkaConfig(partitions), decisions: decisionsTopicOf(w.topic), postgresURL: w.postgres, report: func(line string) { t.Log("migrate:", line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.reader, err = postgres.NewReader(t.Context(), postgres.Config{URL: w.postgres}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.reader.Close)
	return w
}

func (w *world) kafkaConfig(partitions int32) kafka.Config {
	return kafka.Config{Brokers: strings.Split(w.kafka, ","), Topic: w.topic, SingleBroker: true, Partitions: partitions}
}

// settings give the environment that a process of this world runs with.
func (w *world) settings() []string {
	return []string{
		"ANTEROOM_KAFKA_BROKERS=" + w.kafka, "ANTEROOM_REDIS_URL=" + w.redis, "ANTEROOM_POSTGRES_URL=" + w.postgres,
		"ANTEROOM_TOPIC=" + w.topic, "ANTEROOM_DECISIONS_TOPIC=" + decisionsTopicOf(w.topic), "ANTEROOM_SINGLE_BROKER=true",
		"ANTEROOM_TICKET_KEYS=" + w.secrets.TicketKeys, "ANTEROOM_BUYER_KEYS=" + w.secrets.BuyerKeys,
		"ANTEROOM_OPERATOR_TOKEN=" + w.secrets.OperatorToken, "ANTEROOM_MERCHANT_TOKEN=" + w.secrets.MerchantToken,
	}
}

// ownRedis gives the backends a Redis that a test may end and empty.
func ownRedis(t *testing.T, b *devstacktest.Backends) *devstack.Redis {
	t.Helper()
	redis, err := devstack.StartRedis(t.Context(), devstack.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	b.RedisURL = redis.URL
	return redis
}

// ownPostgres gives the backends a Postgres that a test may end.
func ownPostgres(t *testing.T, b *devstacktest.Backends) *devstack.Postgres {
	t.Helper()
	postgres, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = postgres.Close() })
	b.PostgresURL = postgres.URL
	return postgres
}

// program is the built binary, without the race detector. Like its folder, it
// outlives the test that asks for it first; TestMain removes both.
var program = sync.OnceValues(func() (path string, err error) {
	if programFolder, err = os.MkdirTemp("", "anteroom-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(programFolder, "anteroom")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w: %s", err, output)
	}
	return path, nil
})

var programFolder string // empty until there is one

// process is a running anteroom serve.
type process struct {
	t              *testing.T
	world          *world
	role           string
	address, admin string
	command        *exec.Cmd
	output         *lockedBuffer
	ended          chan struct{}
}

// start runs a role in a process of its own, and waits until it is ready.
func (w *world) start(t *testing.T, role string) *process {
	t.Helper()
	p := &process{t: t, world: w, role: role}
	for _, address := range []*string{&p.address, &p.admin} {
		port, err := devstack.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		*address = fmt.Sprintf("127.0.0.1:%d", port)
	}
	p.run()
	t.Cleanup(func() {
		if p.command.ProcessState == nil {
			_ = p.command.Process.Signal(syscall.SIGCONT) // it may be frozen
			_ = p.command.Process.Signal(syscall.SIGTERM)
			select {
			case <-p.ended:
			case <-time.After(20 * time.Second):
				t.Errorf("%s did not end in order", role)
				_ = p.command.Process.Kill()
				<-p.ended
			}
		}
		if t.Failed() {
			t.Logf("%s %s said:\n%s", role, p.address, p.output.tail(12_000))
		}
	})
	return p
}

// run starts the process on its addresses, again after it was killed.
func (p *process) run() {
	p.t.Helper()
	path, err := program()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.output == nil {
		p.output = &lockedBuffer{}
	}
	p.command = exec.Command(path, "serve", "--role", p.role, "--listen", p.address, "--admin-listen", p.admin)
	p.command.Env = append(os.Environ(), p.world.settings()...)
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	command, ended := p.command, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		_ = command.Wait() // how it ended is in ProcessState
	}()
	await(p.t, p.role+" being ready", func() bool {
		select {
		case <-ended:
			p.t.Fatalf("%s ended at once: %s", p.role, p.output.tail(4000))
		default:
		}
		return p.ready()
	})
}

func (p *process) ready() bool {
	response, err := http.Get("http://" + p.admin + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// freeze stops the process, and waits until it has: a busy machine lets it run
// on for some milliseconds after the signal.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	await(p.t, "the process to stand still", func() bool {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(p.command.Process.Pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
		return err == nil && pid != 0 && status.Stopped()
	})
}

// metric gives the sum of a metric's samples, as this process shows it.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	response, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+" ") && !strings.HasPrefix(line, name+"{") {
			continue
		}
		var value float64
		if _, err := fmt.Sscanf(line[strings.LastIndexByte(strings.TrimSpace(line), ' '):], "%g", &value); err != nil {
			p.t.Fatalf("metric line %q: %v", line, err)
		}
		sum += value
	}
	return sum
}

// lockedBuffer collects a process's output.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) tail(most int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	return text[max(0, len(text)-most):]
}

// serveHere runs the whole service in this process, on free ports, until the
// test ends.
func (w *world) serveHere(t *testing.T) *service {
	t.Helper()
	s, err := newService(t.Context(), w.config(t, roles{ingress: true, allocator: true}))
	if err != nil {
		t.Fatal(err)
	}
	w.runHere(t, s)
	return s
}

func (w *world) config(t testing.TB, parts roles) serviceConfig {
	return serviceConfig{
		roles:    parts,
		backends: backendSettings{KafkaBrokers: strings.Split(w.kafka, ","), Topic: w.topic, DecisionsTopic: decisionsTopicOf(w.topic), SingleBroker: true, PostgresURL: w.postgres},
		redisURL: w.redis, secrets: w.secrets,
		listen: listenSettings{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"},
		logger: logSettings{}.logger(terminal{err: testWriter{t}}),
	}
}

func (w *world) runHere(t *testing.T, s *service) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the service ended with: %v", err)
		}
	})
	ready, done := context.WithTimeout(t.Context(), patience)
	defer done()
	if err := s.board.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	return stop
}

// testWriter sends a log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	select {
	case <-w.t.Context().Done(): // the test is over, its log closed
	default:
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// client gives a client with both tokens, whose calls are held against the
// description too.
func (w *world) client(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		URL: "http://" + address, OperatorToken: w.secrets.OperatorToken, MerchantToken: w.secrets.MerchantToken, HTTP: asDescribed(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openSale creates a sale, as soon as the service takes it, and waits until it
// is open for those who ask at the address.
func (w *world) openSale(t *testing.T, address string, s client.NewSale) client.Sale {
	t.Helper()
	operator := w.client(t, address)
	var err error
	var created client.Sale
	taken := false
	await(t, "the sale of "+s.Product, func() bool {
		if !taken {
			created, err = operator.CreateSale(t.Context(), s)
			if err != nil {
				t.Log("creating the sale:", err)
			}
			// An earlier try may have been decided late.
			taken = err == nil || client.HasCode(err, "already_open")
		}
		if taken && created.State != "open" { // it may be undecided as yet
			created, err = operator.Sale(t.Context(), s.Product)
		}
		return err == nil && created.State == "open"
	})
	return created
}

// awaitSale waits until shoppers find the product's sale open at each address.
func awaitSale(t *testing.T, addresses []string, product string) {
	t.Helper()
	for _, address := range addresses {
		await(t, "the sale of "+product+" at "+address, func() bool {
			a, err := tryCall(t.Context(), "GET", "http://"+address+"/v1/products/"+product, "")
			return err == nil && a.code == http.StatusOK && a.body["state"] == "open"
		})
	}
}

// answer is what an HTTP call brought.
type answer struct {
	code   int
	header http.Header
	body   map[string]any
}

// call makes an HTTP call, with headers in pairs.
func call(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	a, err := tryCall(t.Context(), method, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryCall(ctx context.Context, method, url, body string, headers ...string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := asDescribed().Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{code: response.StatusCode, header: response.Header}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return answer{}, fmt.Errorf("%s %s: %d %q: %w", method, url, a.code, text, err)
		}
	}
	return a, nil
}

func (a answer) String() string { return fmt.Sprintf("%d %v", a.code, a.body) }

// buy presses Buy until there is a ticket.
func buy(t *testing.T, address, product, buyer string) string {
	t.Helper()
	var ticket, last string
	t.Cleanup(func() {
		if ticket == "" {
			t.Logf("%s got no ticket; the last answer was %s", buyer, last)
		}
	})
	await(t, buyer+"'s ticket", func() bool {
		a, err := tryCall(t.Context(), "POST", "http://"+address+"/v1/products/"+product+"/buy", "", "X-Buyer-ID", buyer)
		if last = fmt.Sprint(a, err); err != nil || (a.code != http.StatusAccepted && a.code != http.StatusOK) {
			return false
		}
		ticket, _ = a.body["ticket"].(string)
		return ticket != ""
	})
	return ticket
}

// state asks for a ticket's state.
func state(t *testing.T, address, ticket string) string {
	t.Helper()
	a, err := tryCall(t.Context(), "GET", "http://"+address+"/queue/"+ticket, "")
	if err != nil || a.code != http.StatusOK {
		return ""
	}
	s, _ := a.body["state"].(string)
	return s
}

// parse reads a ticket with the world's keys.
func (w *world) parse(t *testing.T, text string) ticket.Ticket {
	t.Helper()
	keys, _, err := w.secrets.keys()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := ticket.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ring.Verify(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
