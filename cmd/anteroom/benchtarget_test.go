package main

import (
	"errors"
	"testing"
)

// TestLoadStaysHere unless somebody says that the target is theirs.
func TestLoadStaysHere(t *testing.T) {
	t.Parallel()
	for target, here := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:80": true, "[::1]:8080": true, "localhost:8080": true,
		"203.0.113.9:80": false, "[2001:db8::1]:80": false, "0.0.0.0:80": false, "shop.example:443": false,
		"localhost.shop.example:80": false, "10.0.0.1:80": false,
	} {
		s := targetSettings{Target: []string{"127.0.0.1:1", target}}
		if err := s.check(); (err == nil) != here || err != nil && !errors.Is(err, errMisuse) {
			t.Errorf("%s: %v", target, err)
		}
		s.IOwnThis = true
		if err := s.check(); err != nil {
			t.Errorf("%s, which is theirs: %v", target, err)
		}
	}
	if err := (&targetSettings{Target: []string{"127.0.0.1"}, IOwnThis: true}).check(); !errors.Is(err, errMisuse) {
		t.Errorf("without a port: %v", err)
	}
}
