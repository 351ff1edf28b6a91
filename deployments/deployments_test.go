// Package deployments holds what runs anteroom in containers. Nothing here can
// be run by the tests, so they read it: that it parses, and that it keeps the
// promises which are easily lost in an edit.
package deployments

import (
	"encoding/xml"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	User        string            `yaml:"user"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Restart     string            `yaml:"restart"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Build       *struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

func (s composeService) oneShot() bool { return s.Restart == "no" }

func readCompose(t *testing.T) composeFile {
	t.Helper()
	content, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestComposeHasEveryPart(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for _, name := range []string{
		"kafka", "redis", "postgres", "migrate", "ingress-1", "ingress-2", "allocator-1", "allocator-2",
	} {
		if _, found := file.Services[name]; !found {
			t.Errorf("there is no service %s", name)
		}
	}
	if !slices.Contains(file.Services["redis"].Command, "--appendonly") {
		t.Error("redis keeps no append-only file")
	}
	for name, role := range map[string]string{
		"ingress-1": "ingress", "ingress-2": "ingress", "allocator-1": "allocator", "allocator-2": "allocator",
	} {
		if want := []string{"serve", "--role", role}; !slices.Equal(file.Services[name].Command, want) {
			t.Errorf("%s runs %q, want %q", name, file.Services[name].Command, want)
		}
	}
}

func TestComposeServicesAreCheckedAndWaitedFor(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for name, service := range file.Services {
		if service.oneShot() == (service.Healthcheck != nil) {
			t.Errorf("%s: a service has a health check, or ends by itself and has none", name)
		}
		if check := service.Healthcheck; check != nil && (len(check.Test) < 2 || check.Test[0] != "CMD") {
			t.Errorf("%s: the health check %q needs a shell", name, check.Test)
		}
		for needed, how := range service.DependsOn {
			other, found := file.Services[needed]
			want := "service_healthy"
			if other.oneShot() {
				want = "service_completed_successfully"
			}
			if !found || how.Condition != want {
				t.Errorf("%s waits for %s with %q, want %q", name, needed, how.Condition, want)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, found := file.Volumes[source]; !found {
				t.Errorf("%s uses the volume %s, which there is not", name, source)
			}
		}
	}
}

func TestComposeGivesAwayNothing(t *testing.T) {
	t.Parallel()
	required := regexp.MustCompile(`\$\{[A-Z_]+:\?[^}]+\}`)
	for name, service := range readCompose(t).Services {
		for variable, value := range service.Environment {
			secret := strings.HasSuffix(variable, "_KEYS") || strings.HasSuffix(variable, "_TOKEN") ||
				strings.HasSuffix(variable, "PASSWORD") || variable == "ANTEROOM_POSTGRES_URL"
			if secret && !required.MatchString(value) {
				t.Errorf("%s: %s does not have to be set by the operator", name, variable)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, port)
			}
		}
		_, tag, _ := strings.Cut(service.Image, ":")
		if tag == "" || tag == "latest" {
			t.Errorf("%s: image %q has no fixed version", name, service.Image)
		}
		if service.Build == nil {
			continue
		}
		if _, err := os.Stat("../" + service.Build.Dockerfile); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if service.User != "" || !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") {
			t.Errorf("%s: runs with more rights than the image's user has", name)
		}
	}
}

func TestComposeIngressHasItsSecretsAndAllocatorHasNone(t *testing.T) {
	t.Parallel()
	for name, service := range readCompose(t).Services {
		for _, secret := range []string{
			"ANTEROOM_TICKET_KEYS", "ANTEROOM_BUYER_KEYS", "ANTEROOM_OPERATOR_TOKEN", "ANTEROOM_MERCHANT_TOKEN",
		} {
			if _, has := service.Environment[secret]; has != strings.HasPrefix(name, "ingress") {
				t.Errorf("%s has %s: %v", name, secret, has)
			}
		}
	}
}

func TestImageIsStaticAndNotRoot(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(content), "\nFROM ")
	last := stages[len(stages)-1]
	if len(stages) < 2 || !strings.Contains(string(content), "CGO_ENABLED=0") {
		t.Error("the binary is not built static, in a stage of its own")
	}
	if !regexp.MustCompile(`(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`).MatchString(last) {
		t.Error("the image does not run as a user other than root, by number")
	}
	if strings.Contains(last, "RUN ") {
		t.Error("the image has no shell to RUN anything in")
	}
}

// TestKafkaVersionIsTheSameEverywhere compares the broker of the tests with the
// one in containers.
func TestKafkaVersionIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("kafka/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	var pom struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(content, &pom); err != nil {
		t.Fatal(err)
	}
	if image := readCompose(t).Services["kafka"].Image; pom.Version == "" || image != "apache/kafka:"+pom.Version {
		t.Errorf("compose.yaml has %s, the tests have %s", image, pom.Version)
	}
}
