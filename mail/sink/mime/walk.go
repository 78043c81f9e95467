package mime

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxProblems bounds [Message.Problems].
const maxProblems = 100

// walker holds the state of one pass over a message.
type walker struct {
	raw      []byte
	pos      int
	lim      Limits
	deadline time.Time
	ticks    int
	fields   int      // header fields kept so far
	open     []string // boundaries of the multiparts around pos, outermost first
	msg      *Message
	err      error           // the first limit exceeded
	halted   bool            // stop walking
	late     bool            // the time is spent: stop everything
	sizes    bool            // count what parts hold
	seen     map[string]bool // problems already named
	texts    map[int][]byte  // decoded for their sizes, by index of the part
}

func newWalker(raw []byte, limits Limits) *walker {
	l := limits.withDefaults()
	return &walker{raw: raw, lim: l, deadline: l.Now().Add(l.Time), msg: &Message{}, seen: map[string]bool{}, texts: map[int][]byte{}}
}

// problem records a defect once.
func (w *walker) problem(format string, args ...any) {
	s := format
	if len(args) > 0 {
		s = fmt.Sprintf(format, args...)
	}
	if w.seen[s] || len(w.msg.Problems) >= maxProblems {
		return
	}
	w.seen[s] = true
	w.msg.Problems = append(w.msg.Problems, s)
}

// exceed records that a limit was passed. The first reason is the error.
func (w *walker) exceed(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", ErrTooComplex, reason)
	}
	w.problem("%s", reason)
}

// spent reports whether the walk must end. It looks at the clock at every
// 256th call, so that tight loops may ask every time.
func (w *walker) spent() bool {
	if w.halted {
		return true
	}
	w.ticks++
	if w.ticks&255 == 0 && w.lim.Now().After(w.deadline) {
		w.exceed("reading took longer than %v", w.lim.Time)
		w.halted, w.late = true, true
	}
	return w.halted
}

// walk reads the header and the part tree.
func (w *walker) walk() {
	w.entity("", 0, "text/plain")
	w.halted = w.late
	w.readAddresses()
}

// none is the level of a body that ended with the message.
const none = -1

// ending tells which line ended a body: the boundary's index in walker.open,
// or none, and whether it was the closing form.
type ending struct {
	level   int
	closing bool
}

// entity reads a header block and its body at pos and everything below it.
// prefix is the id of the multipart around it, n its place there from 1.
func (w *walker) entity(prefix string, n int, defaultType string) ending {
	if len(w.msg.Parts) >= w.lim.Parts {
		w.exceed("there are more than %d parts", w.lim.Parts)
		w.halted = true
		return ending{level: none}
	}
	header := w.header()
	p := w.describe(header, defaultType)
	switch {
	case n == 0:
		p.PartID = "0"
		w.msg.Header = header
	case prefix == "":
		p.PartID = strconv.Itoa(n)
	default:
		p.PartID = prefix + "." + strconv.Itoa(n)
	}
	i := len(w.msg.Parts)
	w.msg.Parts = append(w.msg.Parts, p)
	if boundary, ok := w.boundaryOf(header, p); ok {
		id := p.PartID
		if n == 0 {
			id = ""
		}
		return w.children(id, p.ContentType, boundary)
	}
	body, end := w.body()
	w.msg.Parts[i].raw = body
	if w.sizes && p.Encoding == "quoted-printable" {
		text := decodeQuotedPrintable(body)
		w.msg.Parts[i].Size = len(text)
		if shown(p) {
			w.texts[i] = text
		}
	} else if w.sizes {
		w.msg.Parts[i].Size = decodedSize(p.Encoding, body)
	}
	if p.Multipart() && len(w.open) < w.lim.Depth {
		w.msg.Parts[i].ContentType = "text/plain" // no boundary to split it by: show it as it is
	}
	return end
}

// boundaryOf reports whether p is a multipart that will be walked into.
func (w *walker) boundaryOf(header []Field, p Part) (string, bool) {
	if !p.Multipart() {
		return "", false
	}
	_, params, _ := parseParams(get(header, "Content-Type"), w.lim.Params)
	boundary := strings.TrimRight(params["boundary"], " ")
	switch {
	case boundary == "":
		w.problem("part %s is %s without a boundary (RFC 2046 section 5.1.1)", p.PartID, p.ContentType)
		return "", false
	case len(boundary) > w.lim.Boundary:
		w.problem("the boundary of part %s is longer than %d characters (RFC 2046 section 5.1.1)", p.PartID, w.lim.Boundary)
		return "", false
	case len(w.open) >= w.lim.Depth:
		w.exceed("multiparts are nested deeper than %d", w.lim.Depth)
		return "", false
	}
	switch p.Encoding {
	case "7bit", "8bit", "binary":
	default:
		w.problem("part %s is %s with Content-Transfer-Encoding %s (RFC 2045 section 6.4)", p.PartID, p.ContentType, p.Encoding)
	}
	return boundary, true
}

// children reads the parts between the lines of one boundary.
func (w *walker) children(id, contentType, boundary string) ending {
	level := len(w.open)
	w.open = append(w.open, boundary)
	defer func() { w.open = w.open[:level] }()
	defaultType := "text/plain"
	if contentType == "multipart/digest" {
		defaultType = "message/rfc822"
	}
	_, end := w.body() // the preamble
	for n := 1; end.level == level && !end.closing; n++ {
		if w.spent() {
			return ending{level: none}
		}
		end = w.entity(id, n, defaultType)
	}
	if end.level != level {
		if !w.halted {
			w.problem("the last boundary of %s is missing (RFC 2046 section 5.1.1)", contentType)
		}
		return end
	}
	w.open = w.open[:level]
	_, end = w.body() // the epilogue
	return end
}

// body reads up to the next line that is an open boundary, and past that line.
func (w *walker) body() ([]byte, ending) {
	start := w.pos
	if len(w.open) == 0 || w.halted {
		w.pos = len(w.raw)
		return w.raw[start:], ending{level: none}
	}
	for at := w.pos; at < len(w.raw); {
		if w.spent() {
			break
		}
		if !bytes.HasPrefix(w.raw[at:], dashes) {
			i := bytes.Index(w.raw[at:], newlineDashes)
			if i < 0 {
				break
			}
			at += i + 1
		}
		line, next := lineAt(w.raw, at)
		if end, ok := w.boundaryLine(line); ok {
			w.pos = next
			return trimNewline(w.raw[start:at]), end
		}
		at = next
	}
	w.pos = len(w.raw)
	return w.raw[start:], ending{level: none}
}

var (
	dashes        = []byte("--")
	newlineDashes = []byte("\n--")
)

// boundaryLine reports which open boundary the line is. Inner ones win, so
// that a missing last boundary inside ends at the next one outside.
func (w *walker) boundaryLine(line []byte) (ending, bool) {
	line = bytes.TrimRight(line, " \t\r\n")
	if len(line) > w.lim.Boundary+4 || !bytes.HasPrefix(line, dashes) {
		return ending{}, false
	}
	line = line[2:]
	for level := len(w.open) - 1; level >= 0; level-- {
		b := w.open[level]
		if string(line) == b {
			return ending{level: level}, true
		}
		if len(line) == len(b)+2 && string(line[:len(b)]) == b && string(line[len(b):]) == "--" {
			return ending{level: level, closing: true}, true
		}
	}
	return ending{}, false
}

// lineAt returns the line that begins at i, with its line end, and where the
// next begins.
func lineAt(raw []byte, i int) (line []byte, next int) {
	n := bytes.IndexByte(raw[i:], '\n')
	if n < 0 {
		return raw[i:], len(raw)
	}
	return raw[i : i+n+1], i + n + 1
}

// trimNewline removes the line end that belongs to the boundary line after b.
func trimNewline(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}
