// Package measure tells what processes have used, whether the machine is fit to
// be measured on, and what machine it is.
//
// It reads /proc, so it works on Linux; elsewhere its functions give
// [errors.ErrUnsupported]. What it reads costs as little as can be: it runs
// beside what is measured.
//
// Goroutines: a [Sampler] owns one, which looks from time to time, and ends with
// [Sampler.Stop].
package measure
