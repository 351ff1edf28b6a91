package ingress

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecent(4)
		key := r.key(0, 2, "ada")
		if key == r.key(0, 3, "ada") || key == r.key(1, 2, "ada") || key == r.key(0, 2, "bob") {
			t.Error("keys are the same")
		}
		r.put(key, "pseudonym", Hint{Offset: 7})
		if hint, ok := r.find(key, "pseudonym"); !ok || hint.Offset != 7 || !r.has(key) {
			t.Errorf("found %+v", hint)
		}
		// Keys may be the same by accident. A ticket must not be.
		if hint, ok := r.find(key, "another"); ok {
			t.Errorf("somebody else got %+v", hint)
		}
		r.drop(key)
		if r.has(key) {
			t.Error("it is not dropped")
		}

		// It is remembered for one period at least, and for two at most.
		pass(recentPeriod / 2)
		r.put(key, "pseudonym", Hint{Offset: 8})
		pass(recentPeriod - time.Second)
		if !r.has(key) {
			t.Error("forgotten too early")
		}
		r.put(key, "pseudonym", Hint{Offset: 9})
		pass(recentPeriod + time.Second)
		if hint, _ := r.find(key, "pseudonym"); hint.Offset != 9 {
			t.Errorf("found %+v", hint)
		}
		pass(recentPeriod)
		if r.has(key) {
			t.Error("not forgotten")
		}

		r.put(key, "pseudonym", Hint{Offset: 10})
		pass(2*recentPeriod + time.Second)
		if r.has(key) {
			t.Error("not forgotten while nobody came")
		}

		// It is bounded, and keeps the first.
		for n := range 10_000 {
			r.put(uint64(n), "pseudonym", Hint{Offset: sale.Offset(n)})
		}
		entries := 0
		for n := range r.shards {
			entries += len(r.shards[n].current) + len(r.shards[n].previous)
		}
		if entries > recentShards*4 || !r.has(0) || r.has(9_999) {
			t.Errorf("%d entries", entries)
		}
		r.put(0, "pseudonym", Hint{Offset: 5})
		if hint, _ := r.find(0, "pseudonym"); hint.Offset != 5 {
			t.Error("a full one does not take what is newer")
		}
	})
}
