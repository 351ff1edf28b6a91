package export

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/anteroomhq/anteroom/pkg/event"
	"github.com/anteroomhq/anteroom/pkg/sale"
	"github.com/anteroomhq/anteroom/pkg/sale/saletest"
)

// TestTimelineAtAnyOffset looks at random offsets of random logs, in any order,
// and compares with a core that went there straight.
func TestTimelineAtAnyOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := testLog{saletest.Entries(saletest.Log(rt)), saletest.Entries(saletest.Log(rt))}
		if len(l[0]) == 0 || len(l[1]) == 0 {
			return
		}
		export := l.export(t)
		timeline := NewTimeline(bytes.NewReader(export), int64(len(export)))
		timeline.gap, timeline.most = rapid.Int64Range(1, 20).Draw(rt, "gap"), rapid.IntRange(2, 8).Draw(rt, "most")
		if report, err := Check(t.Context(), bytes.NewReader(export), timeline); err != nil || !report.Equal {
			rt.Fatal(report, err)
		}
		for range 10 {
			partition := int32(rapid.IntRange(0, 1).Draw(rt, "partition"))
			offset := sale.Offset(rapid.IntRange(0, len(l[partition])-1).Draw(rt, "offset"))
			got, err := timeline.At(partition, offset)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(momentAt(partition, l[partition][:offset+1]), got); diff != "" {
				rt.Fatalf("after offset %d of partition %d (-want +got):\n%s", offset, partition, diff)
			}
		}
		for _, p := range timeline.partitions {
			if len(p.checkpoints) > timeline.most {
				rt.Fatalf("%d states are kept", len(p.checkpoints))
			}
		}
	})
}

// momentAt decides all of the entries.
func momentAt(partition int32, entries []event.Entry) *Moment {
	core := sale.New()
	var all []Told
	for i := range entries {
		record := entries[i].Record()
		var changes sale.Changes
		if err := core.Apply(record, &changes); err != nil {
			panic(err)
		}
		for j := range changes.Decisions {
			d := &changes.Decisions[j]
			all = append(all, Told{Cause: d.Cause, Time: d.Time, Text: inWords(partition, d, record.Body)})
		}
	}
	last := &entries[len(entries)-1]
	return &Moment{
		Partition: partition, Offset: last.Offset, Time: core.Now(), Type: recordType(last.Record().Body), At: last.Time,
		Key: shown(last.Key), Value: shown(last.Value), Sales: core.Snapshot().Sales,
		Decisions: append([]Told{}, all[max(0, len(all)-toldDecisions):]...),
	}
}

// TestTimelineOfAStoppedExport shows that one can look at what was decided before
// a record that is missing, and no further.
func TestTimelineOfAStoppedExport(t *testing.T) {
	t.Parallel()
	lines := bytes.SplitAfter(testLog{goldenEntries(t, "extend")}.export(t), []byte("\n"))
	export := bytes.Join(slices.Delete(lines, 2+5, 2+6), nil)
	timeline := NewTimeline(bytes.NewReader(export), int64(len(export)))
	if _, err := Check(t.Context(), bytes.NewReader(export), timeline); err != nil {
		t.Fatal(err)
	}
	if m, err := timeline.At(0, 4); err != nil || m.Sales[0].Held != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, offset := range []sale.Offset{-1, 5, 6, 100} {
		if m, err := timeline.At(0, offset); !errors.Is(err, ErrNoMoment) {
			t.Errorf("%d: %+v, %v", offset, m, err)
		}
	}
	if _, err := timeline.At(1, 0); !errors.Is(err, ErrNoMoment) {
		t.Errorf("another partition: %v", err)
	}
}

// TestCourseIsBounded shows that a course of many changes keeps its first and
// its last, in order.
func TestCourseIsBounded(t *testing.T) {
	t.Parallel()
	const changes = 100_000
	timeline := NewTimeline(nil, 0)
	c := &course{product: "ring", stride: 1}
	for i := range changes {
		c.add(&sale.Sale{Confirmed: int64(i)}, sale.Offset(i), sale.Time(i))
	}
	timeline.partitions = []*partitionTimeline{{partition: 3, courses: map[sale.Offset]*course{0: c}}}
	courses := timeline.Courses(3)
	if len(courses) != 1 || courses[0].Product != "ring" {
		t.Fatalf("%+v", courses)
	}
	points := courses[0].Points
	if len(points) < maxCourse/2 || len(points) > maxCourse+1 || points[0].Offset != 0 || points[len(points)-1].Confirmed != changes-1 {
		t.Errorf("%d points, from %+v to %+v", len(points), points[0], points[len(points)-1])
	}
	if !slices.IsSortedFunc(points, func(a, b CoursePoint) int { return int(a.Offset - b.Offset) }) {
		t.Error("the points are not in order")
	}
}
