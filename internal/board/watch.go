package board

import "github.com/anteroomhq/anteroom/pkg/sale"

// Watch tells its owner when to look at a request again.
type Watch struct {
	// C has an element when the answer of Lookup may have changed since it was
	// last received from: the request's row, or that of the request that a
	// duplicate stands for; its default outcome; the start of its hold; what
	// its sale says of the end of that, or of where to pay; or that memory had
	// to drop what it knew. It says nothing of the movement of the line and of
	// places, nor of an ETA. It holds one element at most and is never closed.
	C <-chan struct{}

	signal chan struct{}
	tell   func() // in place of signal
	of     *partition
	own    link
	first  link
}

// link is a watch's place in the list of those that watch an offset. A watch
// of a duplicate has a second one: at the request that the duplicate stands
// for.
type link struct {
	watch  *Watch
	offset sale.Offset
	index  int // in the list, or -1
}

// Watch begins to watch a request, or any other record: a command is "decided"
// when the watermark passes it. Whoever watches first and then looks misses
// nothing. The owner calls Close.
func (b *Board) Watch(partition int32, offset sale.Offset) *Watch {
	signal := make(chan struct{}, 1)
	w := &Watch{C: signal, signal: signal}
	b.watch(w, partition, offset)
	return w
}

// WatchFunc is Watch for those who keep no goroutine to receive from C: tell is
// called instead of what is sent there, each time. It is called by whoever
// changes the board, so it returns at once, and it may be called a last time
// while Close is, or just after.
func (b *Board) WatchFunc(partition int32, offset sale.Offset, tell func()) *Watch {
	w := &Watch{tell: tell}
	b.watch(w, partition, offset)
	return w
}

func (b *Board) watch(w *Watch, partition int32, offset sale.Offset) {
	p, err := b.partition(partition)
	if err != nil {
		return
	}
	w.of = p
	w.own = link{watch: w, offset: offset}
	w.first = link{watch: w, index: -1}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(&w.own)
	row := p.rows[offset]
	if row == nil {
		row = p.asked[offset]
	}
	if row != nil && row.First != sale.None {
		w.first.offset = row.First
		p.add(&w.first)
	}
}

// Close ends the watch. It may be called more than once.
func (w *Watch) Close() {
	if w.of == nil {
		return
	}
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.remove(&w.own)
	w.of.remove(&w.first)
}

func (w *Watch) wake() {
	if w.tell != nil {
		w.tell()
		return
	}
	select {
	case w.signal <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

func (p *partition) add(l *link) {
	list := p.watches[l.offset]
	l.index = len(list)
	p.watches[l.offset] = append(list, l)
}

func (p *partition) remove(l *link) {
	if l.index < 0 {
		return
	}
	list := p.watches[l.offset]
	last := list[len(list)-1]
	list[l.index] = last
	last.index = l.index
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(p.watches, l.offset)
	} else {
		p.watches[l.offset] = list
	}
	l.index = -1
}

// linkDuplicate makes those who watch a duplicate watch the first request too.
func (p *partition) linkDuplicate(row *sale.Request) {
	if row.First == sale.None {
		return
	}
	for _, l := range p.watches[row.Offset] {
		if w := l.watch; l == &w.own && w.first.index < 0 {
			w.first.offset = row.First
			p.add(&w.first)
		}
	}
}

// wake notes those who watch an offset of [from, to), for unlockAndWake. It
// looks at as many offsets as that range has, or as are watched, whichever is
// less.
func (p *partition) wake(from, to sale.Offset) {
	if int64(to-from) <= int64(len(p.watches)) {
		for offset := from; offset < to; offset++ {
			p.wakeOne(offset)
		}
		return
	}
	for offset := range p.watches {
		if from <= offset && offset < to {
			p.wakeOne(offset)
		}
	}
}

// wakeHolds notes those who watch a hold of a sale, or a request that may be
// one. It looks at all that is watched, which is for rare changes.
func (p *partition) wakeHolds(of sale.Offset) {
	for offset := range p.watches {
		row, known := p.row(offset)
		if !known || row != nil && row.Sale == of && row.State == sale.Held {
			p.wakeOne(offset)
		}
	}
}

func (p *partition) wakeOne(offset sale.Offset) {
	for _, l := range p.watches[offset] {
		p.woken = append(p.woken, l.watch)
	}
}
