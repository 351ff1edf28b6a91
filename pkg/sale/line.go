package sale

import (
	"cmp"
	"slices"
)

// line is requests in the order of their offsets.
type line []*Request

func (l line) find(offset Offset) (int, bool) {
	return slices.BinarySearchFunc(l, offset, func(r *Request, of Offset) int { return cmp.Compare(r.Offset, of) })
}

func (l *line) add(r *Request) {
	i, _ := l.find(r.Offset)
	*l = slices.Insert(*l, i, r)
}

func (l *line) remove(r *Request) {
	if i, ok := l.find(r.Offset); ok {
		l.cut(i)
	}
}

// cut takes out the request at i. The first one goes without moving the rest.
func (l *line) cut(i int) {
	if i == 0 {
		(*l)[0] = nil
		*l = (*l)[1:]
		return
	}
	*l = slices.Delete(*l, i, i+1)
}

// turns is requests in the order in which their units were given, and of their
// offsets where one record gave several.
type turns []*Request

func (t turns) find(r *Request) (int, bool) {
	return slices.BinarySearchFunc(t, r, byTurn)
}

func (t *turns) add(r *Request) {
	i, _ := t.find(r)
	*t = slices.Insert(*t, i, r)
}

func (t *turns) remove(r *Request) {
	i, ok := t.find(r)
	switch {
	case !ok:
	case i == 0:
		(*t)[0] = nil
		*t = (*t)[1:]
	default:
		*t = slices.Delete(*t, i, i+1)
	}
}

func byOffset(a, b *Request) int { return cmp.Compare(a.Offset, b.Offset) }

func byTurn(a, b *Request) int {
	return cmp.Or(cmp.Compare(a.Granted, b.Granted), cmp.Compare(a.Offset, b.Offset))
}
