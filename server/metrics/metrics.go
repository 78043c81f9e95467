// Package metrics is what operators watch the server by: figures in the text
// format of Prometheus, the last errors, and a page that shows both.
//
// It measures and decides nothing. Labels are chosen by the program, never by
// a client: routes are patterns, reasons are those of the guide, and nothing
// holds an address or a token. A family stops growing at [MaxSeries].
//
//	Counter, Histogram ──▶ Registry ──▶ GET /metrics
//	func at the time asked ──┘     └──▶ GET /debug/ ◀── Errors ◀── log
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MaxSeries is how many combinations of labels a family has at most. What comes
// later is counted with "other" in place of every label.
const MaxSeries = 512

// Kind is what Prometheus calls the type of a family.
type Kind string

// The kinds.
const (
	CounterKind   Kind = "counter"
	GaugeKind     Kind = "gauge"
	histogramKind Kind = "histogram"
)

// Registry holds every family, in the order in which they were made. The zero
// value is ready; it is safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	families []family
}

type family struct {
	name, help string
	kind       Kind
	write      func(b *bytes.Buffer)
}

func (r *Registry) add(f family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.families = append(r.families, f)
}

// Func adds a family whose values are asked for when they are read. f calls
// emit once for each series, with as many values as there are labels.
func (r *Registry) Func(kind Kind, name, help string, labels []string, f func(emit func(v float64, values ...string))) {
	r.add(family{name, help, kind, func(b *bytes.Buffer) {
		f(func(v float64, values ...string) { line(b, name, labels, values, v) })
	}})
}

// Value adds a family of one series without labels.
func (r *Registry) Value(kind Kind, name, help string, f func() float64) {
	r.Func(kind, name, help, nil, func(emit func(float64, ...string)) { emit(f()) })
}

// WriteTo writes every family in version 0.0.4 of the text format.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	families := slices.Clone(r.families)
	r.mu.Unlock()
	var b bytes.Buffer
	for _, f := range families {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpEscaper.Replace(f.help), f.name, f.kind)
		f.write(&b)
	}
	return b.WriteTo(w)
}

var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	valueEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
)

// line writes one sample.
func line(b *bytes.Buffer, name string, labels, values []string, v float64) {
	b.WriteString(name)
	for i, label := range labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(label + `="` + valueEscaper.Replace(strings.ToValidUTF8(values[i], "?")) + `"`)
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteString(" " + number(v) + "\n")
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// series is the part of a family that is kept by labels.
type series[T any] struct {
	mu     sync.Mutex
	labels []string
	all    map[string]*T
	values map[string][]string
	begin  func() *T
}

func newSeries[T any](labels []string, begin func() *T) *series[T] {
	s := &series[T]{labels: labels, all: map[string]*T{}, values: map[string][]string{}, begin: begin}
	if len(labels) == 0 {
		s.all[""] = begin()
	}
	return s
}

// change calls f with the series of values.
func (s *series[T]) change(values []string, f func(*T)) {
	if len(values) != len(s.labels) {
		panic(fmt.Sprintf("metrics: %d values for the labels %v", len(values), s.labels))
	}
	key := strings.Join(values, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.all[key]
	if !ok {
		if len(s.all) >= MaxSeries {
			values = make([]string, len(values))
			for i := range values {
				values[i] = "other"
			}
			key = strings.Join(values, "\x00")
		}
		if t, ok = s.all[key]; !ok {
			t = s.begin()
			s.all[key], s.values[key] = t, slices.Clone(values)
		}
	}
	f(t)
}

// each calls f with every series, by labels.
func (s *series[T]) each(f func(values []string, t *T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.all))
	for k := range s.all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		f(s.values[k], s.all[k])
	}
}

// Counter is a family that only grows.
type Counter struct{ series *series[float64] }

// Counter adds a counter. Without labels it is 0 from the start.
func (r *Registry) Counter(name, help string, labels ...string) *Counter {
	c := &Counter{newSeries(labels, func() *float64 { return new(float64) })}
	r.add(family{name, help, CounterKind, func(b *bytes.Buffer) {
		c.series.each(func(values []string, v *float64) { line(b, name, labels, values, *v) })
	}})
	return c
}

// Add counts n more with these values of the labels.
func (c *Counter) Add(n float64, values ...string) {
	c.series.change(values, func(v *float64) { *v += n })
}

// Histogram is a family of distributions.
type Histogram struct {
	buckets []float64
	series  *series[distribution]
}

type distribution struct {
	counts []uint64 // by bucket; the last one for what is larger
	sum    float64
}

// Histogram adds a histogram with upper bounds in rising order.
func (r *Registry) Histogram(name, help string, buckets []float64, labels ...string) *Histogram {
	h := &Histogram{buckets, newSeries(labels, func() *distribution { return &distribution{counts: make([]uint64, len(buckets)+1)} })}
	r.add(family{name, help, histogramKind, func(b *bytes.Buffer) { h.write(b, name) }})
	return h
}

// Observe notes one value.
func (h *Histogram) Observe(v float64, values ...string) {
	i, _ := slices.BinarySearch(h.buckets, v) // bounds belong to their bucket
	h.series.change(values, func(d *distribution) {
		d.counts[i]++
		d.sum += v
	})
}

func (h *Histogram) write(b *bytes.Buffer, name string) {
	labels := append(slices.Clone(h.series.labels), "le")
	h.series.each(func(values []string, d *distribution) {
		var n uint64
		for i, c := range d.counts {
			n += c
			bound := math.Inf(1)
			if i < len(h.buckets) {
				bound = h.buckets[i]
			}
			line(b, name+"_bucket", labels, append(slices.Clone(values), number(bound)), float64(n))
		}
		line(b, name+"_sum", h.series.labels, values, d.sum)
		line(b, name+"_count", h.series.labels, values, float64(n))
	})
}
