package mime

import (
	"bytes"
	stdmime "mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// get returns the decoded value of the first field called name.
func get(header []Field, name string) string {
	for i := range header {
		if strings.EqualFold(header[i].Name, name) {
			return header[i].Decoded
		}
	}
	return ""
}

// header reads a header block at pos and the blank line after it. A line that
// is no field ends the block and begins the body (as RFC 5322 parsers in the
// wild do); so does an open boundary.
func (w *walker) header() []Field {
	var fields []Field
	limit := w.pos + w.lim.HeaderBytes
	full := false
	for w.pos < len(w.raw) && !w.spent() {
		line, next := lineAt(w.raw, w.pos)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			w.pos = next
			return fields
		}
		if _, ok := w.boundaryLine(line); ok {
			w.problem("a part ends inside its header (RFC 2046 section 5.1)")
			return fields
		}
		next = w.foldedEnd(next)
		whole := w.raw[w.pos:next]
		colon := nameEnd(whole)
		if colon < 0 {
			if w.pos == 0 && bytes.HasPrefix(whole, []byte("From ")) {
				w.problem("the message begins with an mbox From line")
				w.pos = next
				continue
			}
			w.problem("the header ends at a line that is no field (RFC 5322 section 2.2)")
			return fields
		}
		w.pos = next
		switch {
		case full:
		case next > limit:
			full = true
			w.problem("a header block is larger than %d bytes", w.lim.HeaderBytes)
			if room := limit - (next - len(whole)); room > colon+1 {
				fields = w.addField(fields, whole[:room], colon)
			}
		case len(fields) >= w.lim.Fields || w.fields >= 5*w.lim.Fields:
			full = true
			w.problem("there are more than %d header fields", len(fields))
		default:
			fields = w.addField(fields, whole, colon)
		}
	}
	return fields
}

// foldedEnd returns where the field ends whose first line ended at next.
func (w *walker) foldedEnd(next int) int {
	for next < len(w.raw) && (w.raw[next] == ' ' || w.raw[next] == '\t') && !w.spent() {
		line, after := lineAt(w.raw, next)
		if len(bytes.TrimSpace(line)) == 0 && bytes.HasSuffix(line, []byte("\n")) && after < len(w.raw) &&
			w.raw[after] != ' ' && w.raw[after] != '\t' {
			w.problem("a folded line holds only white space (RFC 5322 section 3.2.2)")
		}
		next = after
	}
	return next
}

// nameEnd returns the index of the colon after a field name, or -1.
func nameEnd(line []byte) int {
	for i, c := range line {
		switch {
		case c == ':':
			if i == 0 {
				return -1
			}
			return i
		case c == ' ' || c == '\t':
			// Obsolete syntax allows white space before the colon only.
			rest := bytes.TrimLeft(line[i:], " \t")
			if i == 0 || len(rest) == 0 || rest[0] != ':' {
				return -1
			}
			return len(line) - len(rest)
		case c <= ' ' || c >= 0x7f:
			return -1
		}
	}
	return -1
}

func (w *walker) addField(fields []Field, whole []byte, colon int) []Field {
	w.fields++
	name := strings.TrimRight(string(whole[:colon]), " \t")
	if len(name) != colon {
		w.problem("there is white space before the colon of %s (RFC 5322 section 4.5)", label(name))
	}
	value := unfold(whole[colon+1:])
	if !isASCII(value) {
		w.problem("%s holds 8-bit characters (RFC 5322 section 2.2; allowed only with SMTPUTF8, RFC 6532)", label(name))
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		w.problem("%s holds control characters (RFC 5322 section 2.2)", label(name))
	}
	return append(fields, Field{Name: name, Value: value, Decoded: decodeWords(value)})
}

// label shortens a foreign name for use in a sentence.
func label(name string) string {
	if len(name) > 60 {
		return name[:60] + "…"
	}
	return name
}

// unfold removes the line ends of a folded value and the space around it.
func unfold(b []byte) string {
	b = bytes.TrimSpace(b)
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			continue
		}
		out = append(out, b[i])
	}
	return string(out)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

var wordDecoder = stdmime.WordDecoder{CharsetReader: charset.Reader}

// wordChunk bounds how far the decoder looks for the end of an encoded-word:
// the standard one looks to the end of the value, for each beginning.
const wordChunk = 2 << 10

// decodeWords reads the encoded-words of a field value. What it cannot read it
// leaves as it is, as valid UTF-8.
func decodeWords(s string) string {
	if strings.Contains(s, "=?") {
		s = decodeChunks(s)
	}
	if !utf8.ValidString(s) {
		s = decodeUnlabelled([]byte(s))
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		// An encoded-word can smuggle a line end into the text.
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, s)
	}
	return s
}

func decodeChunks(s string) string {
	var out strings.Builder
	joined := false // the last chunk ended in an encoded-word
	for len(s) > 0 {
		n := len(s)
		if n > wordChunk {
			n = wordChunk
			if i := strings.LastIndexByte(s[:n], ' '); i > 0 {
				n = i
			}
		}
		chunk := s[:n]
		s = s[n:]
		if joined {
			if trimmed := strings.TrimLeft(chunk, " \t"); strings.HasPrefix(trimmed, "=?") {
				chunk = trimmed // white space between encoded-words does not count
			}
		}
		joined = strings.HasSuffix(chunk, "?=")
		decoded, err := wordDecoder.DecodeHeader(chunk)
		if err != nil {
			decoded = chunk
		}
		out.WriteString(decoded)
	}
	return out.String()
}
