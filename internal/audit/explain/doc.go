// Package explain tells the story of one request from the log alone: what came
// before it, why it got its answer, and what became of it.
package explain
