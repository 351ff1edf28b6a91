package redis

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestACrowdIsGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const apart = time.Second
		q := newQueue[int](10, apart)
		take := func(after time.Duration, want ...int) {
			t.Helper()
			began := time.Now()
			got := q.take(t.Context(), 3)
			if took := time.Since(began); !slices.Equal(got, want) || took != after {
				t.Errorf("took %v after %v, want %v after %v", got, took, want, after)
			}
		}
		push := func(items ...int) {
			t.Helper()
			for _, item := range items {
				check(t, q.push(item))
			}
		}
		push(1, 2)
		take(0, 1, 2) // nothing was taken just before
		push(3)
		take(0, 3) // a lone one never waits
		push(4, 5)
		time.AfterFunc(apart/2, func() { push(6, 7) })
		take(apart, 4, 5, 6)
		take(0, 7)
		push(8, 9, 10) // as many as are taken at once
		take(0, 8, 9, 10)

		// Who stops waits for no crowd, and nothing is lost.
		push(11, 12)
		ctx, cancel := context.WithTimeout(t.Context(), apart/2)
		defer cancel()
		if got := q.take(ctx, 3); got != nil {
			t.Errorf("took %v after the end", got)
		}
		if left := q.close(); !slices.Equal(left, []int{11, 12}) {
			t.Errorf("%v are left", left)
		}
	})
}

func TestACrowdIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const apart = time.Second
		q := newQueue[int](10*crowd, apart)
		push := func(n int) {
			for i := range n {
				check(t, q.push(i))
			}
		}
		for range 2 { // what is left of the first time does not count
			push(crowd)
			q.take(t.Context(), 10*crowd)
			push(2)
			time.AfterFunc(apart/4, func() { push(crowd - 3) })
			time.AfterFunc(apart/2, func() { push(1) })
			began := time.Now()
			if got, took := q.take(t.Context(), 10*crowd), time.Since(began); len(got) != crowd || took != apart/2 {
				t.Errorf("took %d after %v, want %d after %v", len(got), took, crowd, apart/2)
			}
		}
	})
}
