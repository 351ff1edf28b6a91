package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/anteroomhq/anteroom/internal/audit"
	"github.com/anteroomhq/anteroom/internal/audit/audittest"
	"github.com/anteroomhq/anteroom/internal/audit/export"
	"github.com/anteroomhq/anteroom/pkg/event"
)

// exported exports partitions.
func exported(t *testing.T, partitions ...[]event.Entry) []byte {
	t.Helper()
	h := &audit.History{Log: &audittest.Log{Entries: partitions}}
	extents, err := h.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := export.Write(t.Context(), h, extents, "test", &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// golden reads a golden log.
func golden(t *testing.T, name string) []event.Entry {
	t.Helper()
	return audittest.File(t, filepath.Join("..", "..", "..", "testdata", "logs", name+".jsonl"))
}

// quoted gives a text as JavaScript has it.
func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // which no text gives
	}
	return string(encoded)
}
