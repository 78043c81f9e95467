package mime

import (
	"bytes"
	"strings"
)

// singletons are the fields RFC 5322 section 3.6 and RFC 2045 allow once.
var singletons = []string{
	"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// maxLine is the longest line RFC 5322 section 2.1.1 allows, without its end.
const maxLine = 998

// lint names the breaches that do not show while walking.
func (w *walker) lint() {
	w.lintLines()
	h := w.msg.Header
	for _, name := range []string{"Date", "From"} {
		if !has(h, name) {
			w.problem("%s is missing (RFC 5322 section 3.6)", name)
		}
	}
	if !has(h, "Message-ID") {
		w.problem("Message-ID is missing (RFC 5322 section 3.6.4)")
	} else if !strings.Contains(w.msg.MessageID, "@") {
		w.problem("Message-ID has no @ (RFC 5322 section 3.6.4)")
	}
	if !has(h, "MIME-Version") && (has(h, "Content-Type") || has(h, "Content-Transfer-Encoding")) {
		w.problem("MIME-Version is missing (RFC 2045 section 4)")
	}
	counts := make(map[string]int, len(h))
	for _, f := range h {
		counts[strings.ToLower(f.Name)]++
	}
	for _, name := range singletons {
		if n := counts[strings.ToLower(name)]; n > 1 {
			w.problem("%s occurs %d times (RFC 5322 section 3.6)", name, n)
		}
	}
	for _, p := range w.msg.Parts {
		if p.Encoding == "7bit" && !p.Multipart() && !isASCIIBytes(p.raw) {
			w.problem("part %s holds 8-bit characters but says 7bit (RFC 2045 section 6.2)", p.PartID)
		}
	}
}

func has(header []Field, name string) bool {
	for i := range header {
		if strings.EqualFold(header[i].Name, name) {
			return true
		}
	}
	return false
}

// lintLines looks at the line ends of the whole message.
func (w *walker) lintLines() {
	bareLF, longLine := false, false
	for i := 0; i < len(w.raw); {
		line, next := lineAt(w.raw, i)
		n := len(line)
		if n > 0 && line[n-1] == '\n' {
			n--
			if n > 0 && line[n-1] == '\r' {
				n--
			} else {
				bareLF = true
			}
		}
		longLine = longLine || n > maxLine
		i = next
		if bareLF && longLine || w.spent() {
			break
		}
	}
	if bareLF {
		w.problem("a line ends in LF without CR (RFC 5322 section 2.3)")
	}
	if longLine {
		w.problem("a line is longer than %d characters (RFC 5322 section 2.1.1)", maxLine)
	}
	if bareCR(w.raw) {
		w.problem("there is a CR without LF (RFC 5322 section 2.3)")
	}
	if bytes.IndexByte(w.raw, 0) >= 0 {
		w.problem("there is a NUL character (RFC 5322 section 2.2)")
	}
}

func bareCR(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			return false
		}
		if i+1 >= len(b) || b[i+1] != '\n' {
			return true
		}
		b = b[i+2:]
	}
}

func isASCIIBytes(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
