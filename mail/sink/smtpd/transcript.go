package smtpd

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a transcript: together never more than 16 KiB.
const (
	transcriptHead = 4 << 10  // of the beginning
	transcriptTail = 11 << 10 // of the end, before it is cut
	transcriptKept = 8 << 10  // of the end, after it is cut
	transcriptLine = 500      // bytes of one line
)

// transcript is what client and server said, for the message under way: the
// beginning of the session up to the first MAIL, and everything since the last
// accepted message. Bodies, passwords and lines that are no SMTP are described
// and not repeated. Its lines are
//
//	2026-01-02T03:04:05.678Z C: EHLO client.example
//
// Of a long one the middle is left out.
type transcript struct {
	head, tail []byte
	intro      int  // the bytes of head that every message begins with
	fixed      bool // intro is known
	cut        int  // lines left out between head and tail

	second int64  // of the last line
	stamp  []byte // of that second, up to its fraction
}

// add notes a line of the client (C) or the server (S).
func (t *transcript) add(now time.Time, who byte, text string) {
	to := &t.tail
	if len(t.tail) == 0 && t.cut == 0 && len(t.head) < transcriptHead-transcriptLine-40 {
		to = &t.head
	}
	*to = t.line(*to, now, who, text)
	if len(t.tail) <= transcriptTail {
		return
	}
	drop := len(t.tail) - transcriptKept
	drop += bytes.IndexByte(t.tail[drop:], '\n') + 1
	t.cut += bytes.Count(t.tail[:drop], []byte("\n"))
	t.tail = append(t.tail[:0], t.tail[drop:]...)
}

// line appends a line to b. Most lines are of the same second as the last one,
// and formatting the time would cost more than the rest.
func (t *transcript) line(b []byte, now time.Time, who byte, text string) []byte {
	if s := now.Unix(); s != t.second || t.stamp == nil {
		t.second, t.stamp = s, now.UTC().AppendFormat(t.stamp[:0], "2006-01-02T15:04:05.")
	}
	ms := now.Nanosecond() / int(time.Millisecond)
	b = append(b, t.stamp...)
	b = append(b, '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z', ' ', who, ':', ' ')
	return append(append(b, plain(text)...), '\n')
}

// begin tells that a message begins: what was said so far belongs to all.
func (t *transcript) begin() {
	if !t.fixed {
		t.fixed, t.intro = true, len(t.head)
	}
}

// restart forgets the last message.
func (t *transcript) restart() { t.head, t.tail, t.cut = t.head[:t.intro], t.tail[:0], 0 }

// text returns the lines, and after them the replies to come.
func (t *transcript) text(now time.Time, replies []string) string {
	b := make([]byte, 0, len(t.head)+len(t.tail)+100*(1+len(replies)))
	b = append(b, t.head...)
	if t.cut > 0 {
		b = fmt.Appendf(b, "(%d lines are left out)\n", t.cut)
	}
	b = append(b, t.tail...)
	for i, r := range replies {
		if len(b) > transcriptHead+transcriptTail {
			b = fmt.Appendf(b, "(%d replies are left out)\n", len(replies)-i)
			break
		}
		b = t.line(b, now, 'S', r)
	}
	return string(b)
}

// plain makes a line safe to show: no control characters, valid UTF-8, short.
func plain(s string) string {
	safe := utf8.ValidString(s)
	for i := 0; safe && i < len(s); i++ {
		safe = s[i] >= ' ' && s[i] != 0x7f
	}
	if !safe {
		s = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return utf8.RuneError
			}
			return r
		}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	}
	if len(s) > transcriptLine {
		s = strings.ToValidUTF8(s[:transcriptLine-3], "") + "…"
	}
	return s
}

// verbs are the commands there are, served or not.
var verbs = map[string]bool{
	"HELO": true, "EHLO": true, "LHLO": true, "MAIL": true, "RCPT": true, "DATA": true, "BDAT": true, "RSET": true, "NOOP": true, "QUIT": true,
	"AUTH": true, "STARTTLS": true, "VRFY": true, "EXPN": true, "HELP": true, "SEND": true, "SOML": true, "SAML": true, "TURN": true, "ETRN": true,
}

// mechanisms are the words that may be repeated after AUTH. Another word may be
// a password.
var mechanisms = map[string]bool{
	"PLAIN": true, "LOGIN": true, "CRAM-MD5": true, "DIGEST-MD5": true, "XOAUTH2": true, "OAUTHBEARER": true, "EXTERNAL": true,
	"SCRAM-SHA-1": true, "SCRAM-SHA-256": true, "NTLM": true, "GSSAPI": true, "ANONYMOUS": true,
}

// described returns a command as a transcript may show it.
func described(line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); {
	case !verbs[verb]:
		return fmt.Sprintf("(a line of %d bytes that is no command)", len(line))
	case verb != "AUTH":
		return line
	}
	mechanism, secret, _ := strings.Cut(strings.TrimSpace(arg), " ")
	switch {
	case arg == "":
		return line
	case !mechanisms[strings.ToUpper(mechanism)]:
		return "AUTH (not repeated)"
	case secret == "":
		return "AUTH " + mechanism
	}
	return "AUTH " + mechanism + " (not repeated)"
}

// noteCommand writes a command down. What came before the first MAIL belongs to
// every message of the session.
func (g *gate) noteCommand(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(line) > 4 && strings.EqualFold(line[:5], "MAIL ") {
		g.log.begin()
	}
	g.noteLocked('C', described(line))
}

// note writes a line of the client (C) or the server (S) down.
func (g *gate) note(who byte, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noteLocked(who, text)
}

func (g *gate) noteLocked(who byte, text string) { g.log.add(g.srv.opts.Now(), who, text) }

// transcript returns what was said so far, and the replies to come.
func (g *gate) transcript(replies ...string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.text(g.srv.opts.Now(), replies)
}
