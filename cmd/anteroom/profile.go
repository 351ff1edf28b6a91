package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profileSettings let a process leave profiles of its whole run.
type profileSettings struct {
	ProfileDir string `name:"profile-dir" env:"ANTEROOM_PROFILE_DIR" type:"path" hidden:"" help:"Leave CPU, heap, mutex and block profiles of this process in this folder. Used by bench."`
}

// Rates of what is sampled: a mutex's contention one time in so many, blocking
// once in so many nanoseconds of it. Low enough to leave the figures nearly as
// they are.
const (
	mutexSampling = 100
	blockSampling = 1_000_000
)

// start begins profiling, if there is a folder for it. stop leaves the profiles,
// as <name>.cpu.pprof and so on.
func (s profileSettings) start(name string) (stop func() error, err error) {
	if s.ProfileDir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(s.ProfileDir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for profiles: %w", err)
	}
	create := func(kind string) (*os.File, error) {
		return os.Create(filepath.Join(s.ProfileDir, name+"."+kind+".pprof"))
	}
	cpu, err := create("cpu")
	if err != nil {
		return nil, fmt.Errorf("profiling: %w", err)
	}
	runtime.SetMutexProfileFraction(mutexSampling)
	runtime.SetBlockProfileRate(blockSampling)
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profiling: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, kind := range []string{"heap", "mutex", "block"} {
			file, err := create(kind)
			if err == nil {
				err = errors.Join(pprof.Lookup(kind).WriteTo(file, 0), file.Close())
			}
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("leaving profiles: %w", err)
		}
		return nil
	}, nil
}
