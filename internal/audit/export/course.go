package export

import (
	"cmp"
	"slices"

	"github.com/anteroomhq/anteroom/pkg/sale"
)

// Course is how a sale's counts went, in at most so many points as a chart can
// show.
type Course struct {
	Sale    sale.Offset   `json:"sale"`
	Product sale.Product  `json:"product"`
	Points  []CoursePoint `json:"points"`
}

// CoursePoint is a sale's counts after a record.
type CoursePoint struct {
	Offset     sale.Offset `json:"offset"`
	Time       sale.Time   `json:"time"` // log time
	Available  int64       `json:"available"`
	Reserved   int64       `json:"reserved"`
	Held       int64       `json:"held"`
	Confirmed  int64       `json:"confirmed"`
	Waitlisted int64       `json:"waitlisted"` // requests
}

// course is one in the making.
type course struct {
	product sale.Product
	points  []CoursePoint
	stride  int64 // changes from one point to the next
	changes int64
	last    CoursePoint
}

// add notes that the sale has changed. Where there are too many points every
// second one goes.
func (c *course) add(s *sale.Sale, offset sale.Offset, at sale.Time) {
	c.last = CoursePoint{
		Offset: offset, Time: at,
		Available: s.Available, Reserved: s.Reserved, Held: s.Held, Confirmed: s.Confirmed, Waitlisted: s.Waitlisted,
	}
	if c.changes%c.stride == 0 {
		c.points = append(c.points, c.last)
	}
	c.changes++
	if len(c.points) > maxCourse {
		kept := c.points[:0]
		for i := 0; i < len(c.points); i += 2 {
			kept = append(kept, c.points[i])
		}
		c.points = kept
		c.stride *= 2
	}
}

// Courses gives those of a partition's sales, by their ids, up to the last
// record.
func (t *Timeline) Courses(partition int32) []Course {
	var courses []Course
	for _, p := range t.partitions {
		if p.partition != partition {
			continue
		}
		for id, c := range p.courses {
			of := Course{Sale: id, Product: c.product, Points: slices.Clone(c.points)}
			if c.points[len(c.points)-1].Offset != c.last.Offset {
				of.Points = append(of.Points, c.last)
			}
			courses = append(courses, of)
		}
	}
	slices.SortFunc(courses, func(a, b Course) int { return cmp.Compare(a.Sale, b.Sale) })
	return courses
}
