package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/anteroomhq/anteroom/internal/lab/bench"
	"github.com/anteroomhq/anteroom/internal/lab/measure"
	"github.com/anteroomhq/anteroom/internal/lab/report"
	"github.com/anteroomhq/anteroom/internal/postgres"
)

// describe says where the run was made.
func (s *benchStack) describe(ctx context.Context, quick bool) (report.Environment, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	here := measure.Here()
	environment := report.Environment{
		CPU: here.CPU, Cores: here.Cores, MemoryBytes: here.MemoryBytes, Kernel: here.Kernel, Go: here.Go, GOMAXPROCS: here.GoMaxProcs,
		Kafka: kafkaVersion(s.libs), Redis: said(ctx, "redis-server", "--version"), Java: said(ctx, "java", "-version"),
	}
	var errs []error
	sync, err := measure.FsyncTime(ctx, s.folder)
	errs = append(errs, err)
	environment.FsyncMS = float64(sync.Microseconds()) / 1000
	settings, err := postgres.Settings(ctx, s.postgres, "server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_connections", "wal_sync_method")
	errs = append(errs, err)
	for _, setting := range settings {
		if setting.Name == "server_version" {
			environment.Postgres = setting.Value
			continue
		}
		environment.Settings = append(environment.Settings, report.Setting{Name: "postgres " + setting.Name, Value: setting.Value})
	}
	environment.Settings = append(environment.Settings,
		report.Setting{Name: "kafka", Value: "one broker, one replica, acks=all, the page cache and no fsync; -Xms1g -Xmx1g"},
		report.Setting{Name: "JVM", Value: fmt.Sprintf("warmed by %d buys that are not counted", bench.WarmUp(quick))},
		report.Setting{Name: "redis", Value: "one server, nothing kept on disk"},
		report.Setting{Name: "anteroom, rivals, generator", Value: fmt.Sprintf("GOGC such that about %d MiB are allocated between collections, at most %d for anteroom and %d for the others", betweenCollections>>20, smallGOGC, fastGOGC)},
	)
	if err := errors.Join(errs...); err != nil {
		return environment, fmt.Errorf("describing the machine: %w", err)
	}
	return environment, nil
}

// said is the first line that a program says, or nothing.
func said(ctx context.Context, program string, arguments ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// kafkaVersion is that of the broker's jar, which carries it in its name.
func kafkaVersion(libs string) string {
	jars, _ := filepath.Glob(filepath.Join(libs, "kafka_*-*.jar"))
	if len(jars) == 0 {
		return ""
	}
	name := strings.TrimSuffix(filepath.Base(jars[0]), ".jar")
	return name[strings.LastIndexByte(name, '-')+1:]
}
