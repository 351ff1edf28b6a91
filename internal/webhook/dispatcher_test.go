package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// Each message is delivered once, and the group's place is behind the last.
func TestDelivered(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		for i := range int64(100) {
			w.source.put(held(0, 2*i), other(0, 2*i+1), held(1, i))
		}
		w.shop.slow = func(string) time.Duration { return 50 * time.Millisecond }
		w.start(0)
		pass(10 * time.Second)
		for i := range int64(100) {
			for _, id := range []string{fmt.Sprintf("0-%d-0", 2*i), fmt.Sprintf("1-%d-0", i)} {
				if n := len(w.shop.attempts(id)); n != 1 {
					t.Errorf("%s: %d attempts", id, n)
				}
			}
		}
		if w.source.at(0) != 199 || w.source.at(1) != 99 {
			t.Errorf("committed %d and %d", w.source.at(0), w.source.at(1))
		}
		if w.shop.most != concurrency {
			t.Errorf("%d attempts at once, expected %d", w.shop.most, concurrency)
		}
		if w.store.count() > 0 {
			t.Errorf("%d are kept", w.store.count())
		}
	})
}

// A message that fails is tried again after times that grow, and then is dead.
// It holds up no other.
func TestRetried(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shop.answer = func(id string, _ int) (int, http.Header, error) {
			if id == "0-0-0" {
				return http.StatusInternalServerError, nil, nil
			}
			return http.StatusOK, nil, nil
		}
		w.source.put(held(0, 0), held(0, 1), held(0, 2))
		const attempts = 14
		w.start(attempts)
		pass(time.Second)
		if len(w.shop.attempts("0-2-0")) != 1 || w.source.at(0) != 2 {
			t.Errorf("it holds up others: committed %d", w.source.at(0))
		}
		for range 38 {
			pass(time.Hour)
			if k, _ := w.store.row("0-0-0"); k.Dead {
				break
			}
		}
		times := w.shop.attempts("0-0-0")
		if len(times) != attempts {
			t.Fatalf("%d attempts, expected %d", len(times), attempts)
		}
		mean := firstBackoff
		for i := range times[1:] {
			waited := times[i+1].Sub(times[i])
			if waited < mean/2 || waited > mean*3/2+2*retryInterval {
				t.Errorf("attempt %d came after %s, expected about %s", i+2, waited, mean)
			}
			mean = min(3*mean, lastBackoff)
		}
		if all := times[attempts-1].Sub(times[0]); all < 12*time.Hour || all > 36*time.Hour {
			t.Errorf("it was given up after %s, expected about a day", all)
		}
		k, there := w.store.row("0-0-0")
		if !there || !k.Dead || k.Attempts != attempts || k.LastStatus != 500 || k.URL != "https://shop.example/hook" || k.LastError != "answered 500 Internal Server Error" {
			t.Errorf("kept as %+v", k)
		}
	})
}

// What fails first and succeeds later is gone from the store.
func TestDeliveredLater(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shop.answer = func(_ string, attempt int) (int, http.Header, error) {
			if attempt < 3 {
				return 0, nil, errAway
			}
			return http.StatusOK, nil, nil
		}
		for i := range int64(50) {
			w.source.put(held(0, i))
		}
		w.start(0)
		pass(time.Second)
		if n := w.store.count(); n != 50 {
			t.Errorf("%d are kept", n)
		}
		w.stop()
		w.source = w.source.restarted() // what is kept is not read again
		w.start(0)
		pass(time.Hour)
		for i := range 50 {
			if n := len(w.shop.attempts(fmt.Sprintf("0-%d-0", i))); n != 3 {
				t.Errorf("%d attempts", n)
			}
		}
		if n := w.store.count(); n != 0 {
			t.Errorf("%d are kept", n)
		}
	})
}

// The shop's own wishes.
func TestRetryAfterAndGone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shop.answer = func(id string, attempt int) (int, http.Header, error) {
			switch {
			case id == "0-1-0":
				return http.StatusGone, nil, nil
			case attempt > 1:
				return http.StatusOK, nil, nil
			case id == "0-2-0":
				return http.StatusTooManyRequests, http.Header{"Retry-After": {"600"}}, nil
			case id == "0-3-0":
				return http.StatusServiceUnavailable, http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, nil
			}
			return http.StatusServiceUnavailable, http.Header{"Retry-After": {"99999999"}}, nil
		}
		w.source.put(held(0, 1), held(0, 2), held(0, 3), held(0, 4))
		w.start(0)
		pass(10 * time.Hour)
		if k, _ := w.store.row("0-1-0"); !k.Dead || k.Attempts != 1 {
			t.Errorf("gone, and kept as %+v", k)
		}
		for id, want := range map[string]time.Duration{"0-2-0": 10 * time.Minute, "0-3-0": time.Hour, "0-4-0": lastBackoff} {
			times := w.shop.attempts(id)
			if len(times) != 2 {
				t.Errorf("%s: %d attempts", id, len(times))
				continue
			}
			if waited := times[1].Sub(times[0]); waited < want-time.Second || waited > want+2*retryInterval {
				t.Errorf("%s came again after %s, expected %s", id, waited, want)
			}
		}
	})
}

// A shop that does not answer is given up on in time, and holds up others only
// for so long.
func TestSlowShop(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shop.slow = func(id string) time.Duration {
			if id == "0-0-0" {
				return time.Hour
			}
			return 0
		}
		w.source.put(held(0, 0))
		for i := range int64(200) {
			w.source.put(held(0, i+1))
		}
		w.start(0)
		pass(time.Second)
		if n := len(w.shop.attempts("0-200-0")); n != 1 || w.source.at(0) != -1 {
			t.Errorf("%d attempts at the last one, committed %d", n, w.source.at(0))
		}
		pass(attemptTimeout)
		if k, there := w.store.row("0-0-0"); !there || w.source.at(0) != 200 || k.LastStatus != 0 {
			t.Errorf("kept as %+v (%t), committed %d", k, there, w.source.at(0))
		}
	})
}

// While nothing is delivered, what is kept is bounded, and the rest waits in
// the topic.
func TestBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		var up atomic.Bool
		w.shop.answer = func(string, int) (int, http.Header, error) {
			if !up.Load() {
				return 0, nil, errAway
			}
			return http.StatusOK, nil, nil
		}
		const n = 2 * maxWaiting
		for i := range int64(n) {
			w.source.put(held(0, i))
		}
		w.start(0)
		pass(10 * time.Minute)
		if kept := w.store.count(); kept < maxWaiting || kept > maxWaiting+window {
			t.Errorf("%d are kept, expected about %d", kept, maxWaiting)
		}
		up.Store(true)
		pass(time.Hour)
		if kept := w.store.count(); kept > 0 {
			t.Errorf("%d are still kept", kept)
		}
		if last := len(w.shop.attempts(fmt.Sprintf("0-%d-0", n-1))); last != 1 || w.source.at(0) != n-1 {
			t.Errorf("%d attempts at the last, committed %d", last, w.source.at(0))
		}
	})
}

// Where neither shop nor store takes a message, the group's place stays before
// it: after a restart it comes again.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.store.fails = errAway
		w.shop.answer = func(id string, _ int) (int, http.Header, error) {
			if id == "0-1-0" {
				return http.StatusBadGateway, nil, nil
			}
			return http.StatusOK, nil, nil
		}
		w.source.put(held(0, 0), held(0, 1), held(0, 2))
		w.start(0)
		pass(time.Hour)
		if at := w.source.at(0); at != 0 {
			t.Errorf("committed %d", at)
		}
		w.stop()
		if at := w.source.at(0); at != 0 {
			t.Errorf("committed %d at the end", at)
		}
		w.shop.answer, w.store.fails = nil, nil
		w.source = w.source.restarted()
		w.start(0)
		pass(time.Second)
		if n := len(w.shop.attempts("0-1-0")); n != 2 || w.source.at(0) != 2 {
			t.Errorf("%d attempts, committed %d", n, w.source.at(0))
		}
	})
}

// A broker that is away for a while, and a record that is none.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.source.fails = errAway
		w.start(0)
		pass(time.Minute)
		w.source.mu.Lock()
		w.source.fails = nil
		w.source.mu.Unlock()
		w.source.put(Record{Place: Place{Offset: 0}, Value: []byte("{")}, held(0, 1))
		pass(time.Minute)
		if n := len(w.shop.attempts("0-1-0")); n != 1 || w.source.at(0) != 1 {
			t.Errorf("%d attempts, committed %d", n, w.source.at(0))
		}
	})
}

// At the end an attempt underway is finished, and what became of it is noted.
func TestStop(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.shop.slow = func(string) time.Duration { return 3 * time.Second }
		w.shop.answer = func(id string, _ int) (int, http.Header, error) {
			if id == "0-1-0" {
				return 0, nil, errAway
			}
			return http.StatusOK, nil, nil
		}
		w.source.put(held(0, 0), held(0, 1))
		w.start(0)
		pass(time.Second)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > attemptTimeout {
			t.Errorf("it took %s", took)
		}
		if _, kept := w.store.row("0-0-0"); kept {
			t.Error("an attempt underway was cut short")
		}
		if _, kept := w.store.row("0-1-0"); !kept || w.source.at(0) != 1 {
			t.Errorf("kept: %t; committed %d", kept, w.source.at(0))
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url     string
		secrets []string
		private bool
		want    error
	}{
		"fine":               {"https://shop.example/hook?a=1", []string{secret(0), secret(1)}, false, nil},
		"no secret":          {"https://shop.example", nil, false, ErrSecret},
		"no prefix":          {"https://shop.example", []string{secret(0)[len(secretPrefix):]}, false, ErrSecret},
		"short":              {"https://shop.example", []string{secretPrefix + "c2hvcnQ="}, false, ErrSecret},
		"one of two":         {"https://shop.example", []string{secret(0), "whsec_!"}, false, ErrSecret},
		"no scheme":          {"shop.example/hook", []string{secret(0)}, true, ErrURL},
		"other scheme":       {"ftp://shop.example/hook", []string{secret(0)}, true, ErrURL},
		"no host":            {"https:///hook", []string{secret(0)}, true, ErrURL},
		"fragment":           {"https://shop.example/#a", []string{secret(0)}, true, ErrURL},
		"http":               {"http://shop.example", []string{secret(0)}, false, ErrURL},
		"http, allowed":      {"http://shop.example", []string{secret(0)}, true, nil},
		"localhost":          {"https://localhost/hook", []string{secret(0)}, false, ErrNotPublic},
		"loopback":           {"https://127.0.0.1/hook", []string{secret(0)}, false, ErrNotPublic},
		"private":            {"https://[fd00::1]:8443/hook", []string{secret(0)}, false, ErrNotPublic},
		"private, allowed":   {"https://10.0.0.1/hook", []string{secret(0)}, true, nil},
		"cannot be read":     {"https://user:secret@shop.example:port", []string{secret(0)}, false, ErrURL},
		"mapped, not public": {"https://[::ffff:192.168.0.1]/hook", []string{secret(0)}, false, ErrNotPublic},
	} {
		err := CheckSettings(c.url, c.secrets, c.private)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
