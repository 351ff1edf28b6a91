package export

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of an export: the one of a record that decided
// about everybody whom a pause had kept is the longest.
const maxLine = 1 << 29

// lineReader reads lines and counts them.
type lineReader struct {
	from     *bufio.Reader
	long     []byte // a line that is longer than the buffer
	number   int64  // of the last line, from 1
	position int64  // where the next line begins, in bytes
	most     int    // bytes of a line
}

func newLineReader(from io.Reader, position int64) *lineReader {
	return &lineReader{from: bufio.NewReaderSize(from, bufferSize), position: position, most: maxLine}
}

// next gives the next line with its end, good until the next call, or io.EOF.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.from.ReadSlice('\n')
		l.position += int64(len(part))
		switch {
		case err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("reading the export: %w", err)
		case len(l.long)+len(part) > l.most:
			return nil, fmt.Errorf("line %d is longer than %d bytes: %w", l.number+1, l.most, ErrFormat)
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, part...)
			continue
		case len(l.long)+len(part) == 0:
			return nil, io.EOF
		}
		l.number++
		if len(l.long) == 0 {
			return part, nil
		}
		l.long = append(l.long, part...)
		return l.long, nil
	}
}
