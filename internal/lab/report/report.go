package report

import "time"

// Report is what one run of the lab found. Times are in the unit that a name
// in the JSON ends in; so are figures, of which [AnsweredPerSecond] is the first.
type Report struct {
	Command string    `json:"command"` // as typed
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`         // that the whole run took
	Commit  string    `json:"commit,omitzero"` // of the program; empty if not known
	Quick   bool      `json:"quick"`           // a short run, to try and not to quote
	Rounds  int       `json:"rounds"`          // of each arm, as asked for

	Environment Environment `json:"environment"`
	// Warnings are sentences about what makes the figures doubtful: a machine
	// that was not quiet, a JVM that was not warmed.
	Warnings  []string         `json:"warnings"`
	Ratios    map[string]Ratio `json:"ratios"` // by name; what the run is for
	Scenarios []Scenario       `json:"scenarios"`
}

// Environment is where a run was made. What is not known is empty or 0.
type Environment struct {
	CPU         string  `json:"cpu"` // the model's name
	Cores       int     `json:"cores"`
	MemoryBytes int64   `json:"memory_bytes"`
	Kernel      string  `json:"kernel"`
	Go          string  `json:"go"`
	GOMAXPROCS  int     `json:"gomaxprocs"` // of each process of ours
	Kafka       string  `json:"kafka"`
	Redis       string  `json:"redis"`
	Postgres    string  `json:"postgres"`
	Java        string  `json:"java"`
	FsyncMS     float64 `json:"fsync_ms"` // median of small writes to the servers' disk
	// Settings are the servers', where they matter to speed or durability.
	Settings []Setting `json:"settings"`
}

// Setting is one setting as it was, for whoever repeats the run.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ratio is a named result: the quotient of two arms ([Paired]), or a plain
// figure that has something to reach ([Of]).
type Ratio struct {
	Spread
	Reach Reach  `json:"reach,omitzero"`
	Unit  string `json:"unit,omitzero"`  // of a plain figure; a quotient has none
	About string `json:"about,omitzero"` // what is divided by what
}

// Scenario is one load, and every arm that was put under it in turn: round
// after round, and in each round all arms.
type Scenario struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	About string `json:"about"` // what the load is, in a sentence or two
	Arms  []Arm  `json:"arms"`
}

// Arm is one way to answer a scenario's load: anteroom, a rival, or an echo.
type Arm struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Settings []Setting `json:"settings"`
	Rounds   []Round   `json:"rounds"`
	// Figures are of all rounds that have them. [Report.Complete] computes them.
	Figures map[string]Spread `json:"figures"`
	// Curve is how the arm answered as more was offered, from little load to
	// much. Most scenarios have none.
	Curve []CurvePoint `json:"curve,omitzero"`
}

// Round is one arm under its load once.
type Round struct {
	Figures   map[string]float64 `json:"figures"`
	Latency   []LatencyPoint     `json:"latency"`  // click to answer, by rising quantile
	Timeline  []TimelinePoint    `json:"timeline"` // answers over the round
	Processes []Process          `json:"processes"`
	// Broken are promises that the round found broken, in words. A rival that
	// is here because it is wrong breaks some.
	Broken []string `json:"broken"`
}

// LatencyPoint says that a share of answers took no longer. Quantile is from 0
// to 1, where 1 is the longest of all.
type LatencyPoint struct {
	Quantile float64 `json:"quantile"`
	MS       float64 `json:"ms"`
}

// TimelinePoint is how many answers came from At up to the next point. The
// last point's interval is as long as the one before it.
type TimelinePoint struct {
	AtMS     float64 `json:"at_ms"` // since the round's first click
	Answered float64 `json:"answered"`
}

// Process is what one process used in a round. The lab's names are Ingress,
// Allocator, Rival, Kafka, Redis, Postgres and Generator; a tree of processes
// (Postgres has one per connection) counts as one.
type Process struct {
	Name         string  `json:"name"`
	CPUSeconds   float64 `json:"cpu_seconds"` // user and system
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
}

// Names of processes. The charts give each its colour.
const (
	Ingress   = "ingress"
	Allocator = "allocator"
	Rival     = "rival"
	Kafka     = "kafka"
	Redis     = "redis"
	Postgres  = "postgres"
	Generator = "generator"
)

// CurvePoint is how an arm answered one offered load.
type CurvePoint struct {
	Load              float64 `json:"load"` // share of the capacity, 1 is all of it
	OfferedPerSecond  float64 `json:"offered_per_second"`
	AnsweredPerSecond float64 `json:"answered_per_second"`
	GoodputPerSecond  float64 `json:"goodput_per_second"` // answers that were no 429 or 503
	ClickP50          float64 `json:"click_p50_ms"`
	ClickP99          float64 `json:"click_p99_ms"`
	OutcomeP50        float64 `json:"outcome_p50_ms"` // 0 where outcomes were not followed
	OutcomeP99        float64 `json:"outcome_p99_ms"`
	Shed              float64 `json:"shed"`          // share of what was offered that heard 429 or 503
	ShedP50           float64 `json:"shed_p50_ms"`   // click to that answer; 0 where nobody heard it
	ShedP99           float64 `json:"shed_p99_ms"`   //
	Untold            float64 `json:"shed_untold"`   // share of the shed that no Retry-After told when to come again
	Connections       int     `json:"connections"`   // of the generator
	Waited            float64 `json:"waited"`        // share of what was offered for which none of them was free
	WaitP99           float64 `json:"waited_p99_ms"` // how long that lasted. It is in the latencies, and not the service's
	SendP99           float64 `json:"sent_p99_ms"`   // click to its sending: that wait, and the generator's own delay
}
