package smtpd

import (
	"bytes"
	"strings"
	"time"
)

// reply queues a reply of our own.
func (g *gate) reply(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.say(line)
}

// say queues a line of a reply. The caller holds g.mu.
func (g *gate) say(line string) {
	g.noteLocked('S', line)
	if (line[0] == '4' || line[0] == '5') && line[3] == ' ' {
		g.srv.rejected.Add(1)
	}
	g.out = append(append(g.out, line...), '\r', '\n')
}

// flush sends the replies that are due.
func (g *gate) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.out) == 0 {
		return nil
	}
	_ = g.SetWriteDeadline(time.Now().Add(g.srv.opts.CommandTimeout))
	_, err := g.Conn.Write(g.out)
	g.out = g.out[:0]
	if cap(g.out) > smallBuffer {
		g.out = nil
	}
	return err
}

// Write implements io.Writer for go-smtp, which writes one line at a time.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.swallow > 0 {
		g.swallow--
		g.mu.Unlock()
		return len(p), nil
	}
	line := reworded(bytes.TrimRight(p, "\r\n"))
	switch {
	case strings.HasPrefix(line, "354 "):
		g.data, g.started, g.got = true, time.Now(), 0
		g.bodyDue = true
	case strings.HasPrefix(line, "334"):
		g.auth = true
	case g.lmtp && strings.HasPrefix(line, "220 "):
		line = strings.Replace(line, " ESMTP ", " LMTP ", 1)
	}
	failed := false
	if g.lmtp && g.bodyDue && line[0] != '3' {
		for _, l := range g.finalReplies(line) {
			g.say(l)
			failed = failed || l[0] == '5'
		}
	} else {
		g.say(line)
		failed = line[0] == '5' && line[3] == ' '
	}
	if g.srv.startTLS() != nil && !g.tls && line == "250-PIPELINING" {
		g.say("250-STARTTLS")
	}
	full := len(g.out) > maxReplies
	g.mu.Unlock()
	if failed {
		g.countError()
	}
	if full {
		return len(p), g.flush()
	}
	return len(p), nil
}

// recoded are replies go-smtp words with another code than the RFCs ask for,
// or with an address that has lost its quotes.
var recoded = []struct{ from, to string }{
	{"502 5.5.1 Please introduce yourself first.", "503 5.5.1 Please introduce yourself first."}, // RFC 5321 section 4.1.4
	{"502 5.5.1 Missing", "503 5.5.1 Missing"},
	{"502 5.5.1 DATA not allowed", "503 5.5.1 DATA not allowed"}, // RFC 3030 section 3
	{"502 5.5.1 MAIL not allowed", "503 5.5.1 MAIL not allowed"},
	{"502 5.5.1 RCPT not allowed", "503 5.5.1 RCPT not allowed"},
	{"502 5.5.4 Missing parameter", "501 5.5.4 Missing parameter"},
	{"500 5.5.4 Unknown MAIL", "555 5.5.4 Unknown MAIL"}, // RFC 5321 section 4.1.1.11
	{"500 5.5.4 Unknown RCPT", "555 5.5.4 Unknown RCPT"},
	{"500 5.5.4 Malformed AUTH", "501 5.5.4 Malformed AUTH"},
	{"454 4.7.0 Invalid base64", "501 5.5.2 Invalid base64"}, // RFC 4954 section 4
	{"454 4.7.0 sasl:", "501 5.5.2 sasl:"},
}

func reworded(p []byte) string {
	switch {
	case bytes.HasPrefix(p, []byte("250 2.0.0 Roger")):
		return "250 2.1.0 Ok"
	case bytes.HasPrefix(p, []byte("250 2.0.0 I'll make sure")):
		return "250 2.1.5 Ok"
	}
	line := string(p)
	if line[0] == '4' || line[0] == '5' {
		for _, c := range recoded {
			if rest, ok := strings.CutPrefix(line, c.from); ok {
				return c.to + rest
			}
		}
	}
	return line
}
