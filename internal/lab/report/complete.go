package report

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Complete computes every arm's Figures from its rounds: those that the rounds
// have, and for each process its CPU seconds, CPU microseconds per answer and
// peak memory. Where a figure is missing in some rounds its median is of the
// others, and every face says so. It refuses figures that are no finite numbers.
func (r *Report) Complete() error {
	var wrong []error
	for i := range r.Scenarios {
		for j := range r.Scenarios[i].Arms {
			arm := &r.Scenarios[i].Arms[j]
			if err := arm.complete(); err != nil {
				wrong = append(wrong, fmt.Errorf("scenario %s, arm %s: %w", r.Scenarios[i].Name, arm.Name, err))
			}
		}
	}
	return errors.Join(wrong...)
}

func (a *Arm) complete() error {
	values := a.values()
	a.Figures = make(map[string]Spread)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		spread, err := Of(values[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.Figures[name] = spread
	}
	return nil
}

// values gives each figure's values, in the order of the rounds that have it.
func (a *Arm) values() map[string][]float64 {
	values := make(map[string][]float64)
	for i := range a.Rounds {
		for name, value := range a.Rounds[i].all() {
			values[name] = append(values[name], value)
		}
	}
	return values
}

// Values gives one figure's value in each round, for [Paired]. It knows those
// that Complete adds too, and refuses a figure that some round does not have.
func (a *Arm) Values(name string) ([]float64, error) {
	values := make([]float64, len(a.Rounds))
	for i := range a.Rounds {
		value, has := a.Rounds[i].all()[name]
		if !has {
			return nil, fmt.Errorf("round %d of %s has no %s", i+1, a.Name, name)
		}
		values[i] = value
	}
	return values, nil
}

// all are a round's figures and those that follow from its processes. Where
// both have a name, what the round says itself stands.
func (r *Round) all() map[string]float64 {
	all := make(map[string]float64)
	answers := r.answers()
	cpu, memory, served := 0.0, 0.0, false
	for _, p := range r.Processes {
		all[p.Name+processCPU] = p.CPUSeconds
		all[p.Name+processMemory] = float64(p.PeakRSSBytes)
		if answers > 0 {
			all[p.Name+processCPUPerAnswer] = p.CPUSeconds * 1e6 / answers
		}
		if p.Name != Generator {
			cpu, memory, served = cpu+p.CPUSeconds, memory+float64(p.PeakRSSBytes), true
		}
	}
	if served {
		all[ServingMemory] = memory
		if answers > 0 {
			all[ServingCPU] = cpu * 1e6 / answers
		}
	}
	maps.Copy(all, r.Figures)
	return all
}

// answers is how many requests a round answered; 0 if it does not say.
func (r *Round) answers() float64 {
	if n, has := r.Figures[Answered]; has {
		return n
	}
	sum := 0.0
	for _, p := range r.Timeline {
		sum += p.Answered
	}
	return sum
}
