package devstack

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

//go:embed server.properties.tmpl
var serverProperties string

//go:embed log4j2.properties
var log4jProperties []byte

// KafkaConfig says how an Apache Kafka broker runs.
type KafkaConfig struct {
	Libs     string // folder with the broker's jars; required
	Dir      string // folder for data and log, kept by Close, empty at the start; empty: a temporary one
	Port     int    // 0: a free one
	Detached bool   // outlives this process
}

// Kafka is an Apache Kafka process in KRaft mode: one broker that is its own
// controller, every topic with one replica, no topics made by use. Acknowledged
// records survive Kill and Restart (they are in the system's page cache), not a
// crash of the machine.
type Kafka struct {
	server

	Address string // host:port of the one broker
}

// StartKafka starts an Apache Kafka broker from a folder of jars and waits, at
// most 60 s, until it answers. The error is a *MissingError when there is no
// Java.
func StartKafka(ctx context.Context, config KafkaConfig) (*Kafka, error) {
	java, err := LookJava()
	if err != nil {
		return nil, err
	}
	libs, err := filepath.Abs(config.Libs) // the broker runs in its own folder
	if err != nil {
		return nil, fmt.Errorf("finding kafka's jars: %w", err)
	}
	if jars, err := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); err != nil || len(jars) == 0 {
		return nil, fmt.Errorf("starting kafka: no broker jars in %q", libs)
	}
	dir, temporary, err := folder(config.Dir, "kafka")
	if err != nil {
		return nil, err
	}
	k := &Kafka{server: server{
		name:       "kafka",
		stopSignal: syscall.SIGTERM,
		patience:   60 * time.Second,
		temporary:  temporary,
	}}
	k.ready = k.ask
	properties := filepath.Join(dir, "server.properties")
	logging := filepath.Join(dir, "log4j2.properties")
	classpath := filepath.Join(libs, "*")
	err = withPort(config.Port, func(port int) error {
		if err := writeKafkaFiles(dir, port); err != nil {
			return err
		}
		if err := formatKafka(ctx, java, classpath, dir); err != nil {
			return err
		}
		k.Address = loopback(port)
		k.command = command{
			path: java,
			arguments: []string{
				"-Xms1g", "-Xmx1g", "-Dlog4j2.configurationFile=" + logging,
				"-cp", classpath, "kafka.Kafka", properties,
			},
			dir:      dir,
			log:      filepath.Join(dir, "kafka.log"),
			detached: config.Detached,
		}
		return k.start(ctx)
	})
	if err != nil {
		return nil, closing(k, err)
	}
	return k, nil
}

// writeKafkaFiles writes the broker's settings, with a controller on another
// free port, over those of an attempt on another port.
func writeKafkaFiles(dir string, port int) error {
	controllerPort, err := FreePort()
	if err != nil {
		return err
	}
	parsed, err := template.New("server.properties").Parse(serverProperties)
	if err != nil {
		return fmt.Errorf("reading kafka's settings: %w", err)
	}
	var rendered bytes.Buffer
	err = parsed.Execute(&rendered, struct {
		Port, ControllerPort int
		Dir                  string
	}{port, controllerPort, dir})
	if err != nil {
		return fmt.Errorf("filling in kafka's settings: %w", err)
	}
	for name, content := range map[string][]byte{
		"server.properties": rendered.Bytes(),
		"log4j2.properties": log4jProperties,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("writing kafka's settings: %w", err)
		}
	}
	return nil
}

// formatKafka prepares the broker's data folder, which has to be new: a folder
// that was formatted names the controller's port of that time.
func formatKafka(ctx context.Context, java, classpath, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		return fmt.Errorf("emptying kafka's folder: %w", err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[0] &= 0x7f        // so that its text does not start with "-", which reads as a flag
	format := exec.CommandContext(ctx, java,
		"-Xmx256m", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile="+filepath.Join(dir, "log4j2.properties"),
		"-cp", classpath, "kafka.tools.StorageTool",
		"format", "--standalone",
		"-t", base64.RawURLEncoding.EncodeToString(id),
		"-c", filepath.Join(dir, "server.properties"))
	format.Dir = dir
	if printed, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting kafka's folder: %w\n%s", err, printed)
	}
	return nil
}

// ask asks the broker for its metadata, in which it names itself once it may
// lead partitions.
func (k *Kafka) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Address), kgo.DialTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("making a kafka client: %w", err)
	}
	defer client.Close()
	brokers, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("asking kafka for its brokers: %w", err)
	}
	if len(brokers) == 0 {
		return fmt.Errorf("kafka at %s has no active broker yet", k.Address)
	}
	return nil
}
