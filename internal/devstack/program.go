package devstack

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"time"
)

// ProgramConfig says how a program runs.
type ProgramConfig struct {
	Name        string // for people
	Path        string
	Arguments   []string
	Environment []string // all of it; nil: ours
	Dir         string   // folder for its log, kept by Close; empty: a temporary one

	// Ready is one attempt to use the program.
	Ready func(context.Context) error
	// Patience bounds its becoming ready, and its orderly end; 0 is 30 s.
	Patience time.Duration
}

// Program is a process of any program, usually of this one, started again with
// other arguments. It ends with this process at the latest.
type Program struct {
	server
}

// StartProgram starts a program and waits until it is ready.
func StartProgram(ctx context.Context, config ProgramConfig) (*Program, error) {
	if config.Path == "" || config.Name == "" || config.Ready == nil {
		return nil, errors.New("starting a program: it needs a name, a path and a way to find out whether it is ready")
	}
	if config.Patience == 0 {
		config.Patience = 30 * time.Second
	}
	dir, temporary, err := folder(config.Dir, config.Name)
	if err != nil {
		return nil, err
	}
	p := &Program{server: server{
		name: config.Name, stopSignal: syscall.SIGTERM, ready: config.Ready, patience: config.Patience, temporary: temporary,
		command: command{
			path: config.Path, arguments: config.Arguments, dir: dir, environment: config.Environment,
			log: filepath.Join(dir, config.Name+".log"),
		},
	}}
	if err := p.start(ctx); err != nil {
		return nil, closing(p, err)
	}
	return p, nil
}
