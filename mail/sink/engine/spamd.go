package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink/rules"
)

// Spamd is SpamAssassin's daemon, which listens on port 783. It is safe for
// concurrent use.
type Spamd struct {
	addr    string
	timeout time.Duration

	// Names asks for the names of rules alone (SYMBOLS), which is a little
	// faster than with scores and texts (REPORT).
	Names bool
}

// NewSpamd returns the filter at host:port. A timeout of 0 means [Timeout].
func NewSpamd(addr string, timeout time.Duration) (*Spamd, error) {
	if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
		return nil, errors.New("engine: the address of spamd must be of the form HOST:PORT")
	}
	if timeout <= 0 {
		timeout = Timeout
	}
	return &Spamd{addr: addr, timeout: timeout}, nil
}

// Name implements [Engine].
func (s *Spamd) Name() string { return "spamd" }

// Check implements [Engine]. spamd has no words for the envelope, so it goes
// into fields on top of the message, as a receiving server writes them.
func (s *Spamd) Check(ctx context.Context, m Mail) (rules.Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return rules.Engine{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	command := "REPORT"
	if s.Names {
		command = "SYMBOLS"
	}
	top := trace(m)
	head := fmt.Sprintf("%s SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s", command, len(top)+len(m.Raw), top)
	if _, err := (&net.Buffers{[]byte(head), m.Raw}).WriteTo(conn); err != nil {
		return rules.Engine{}, err
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return rules.Engine{}, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	if err != nil {
		return rules.Engine{}, err
	}
	return ParseSpamd(data)
}

// trace returns the fields a receiving server puts on top of a message (RFC
// 5321 section 4.4); none if the client is not known.
func trace(m Mail) string {
	if m.IP == "" {
		return ""
	}
	name := m.Hostname
	if name == "" {
		name = "unknown"
	}
	return fmt.Sprintf("Return-Path: <%s>\r\nReceived: from %s (%s [%s])\r\n\tby %s with ESMTP; %s\r\n",
		printable(m.From), printable(m.Helo), printable(name), printable(m.IP), rules.Receiver, m.Received.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
}

// ParseSpamd reads an answer to SYMBOLS or REPORT (spamd/PROTOCOL of
// SpamAssassin).
func ParseSpamd(data []byte) (rules.Engine, error) {
	if len(data) > maxAnswer {
		return rules.Engine{}, fmt.Errorf("%w: it is larger than 1 MiB", ErrAnswer)
	}
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	status := strings.Fields(lines[0])
	if len(status) < 2 || !strings.HasPrefix(status[0], "SPAMD/") {
		return rules.Engine{}, fmt.Errorf("%w: it is not the protocol of spamd", ErrAnswer)
	}
	if status[1] != "0" {
		return rules.Engine{}, fmt.Errorf("engine: spamd answered %s", clip(strings.Join(status[1:], " ")))
	}
	if !ok {
		return rules.Engine{}, fmt.Errorf("%w: it ends too early", ErrAnswer)
	}
	out := rules.Engine{}
	found := false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(name), "Spam") {
			found = readScore(value, &out)
		}
	}
	if !found {
		return rules.Engine{}, fmt.Errorf("%w: it has no score", ErrAnswer)
	}
	out.Symbols = readSymbols(string(body))
	return out, nil
}

// readScore reads "True ; 7.0 / 5.0".
func readScore(s string, out *rules.Engine) bool {
	word, numbers, ok := strings.Cut(s, ";")
	score, limit, both := strings.Cut(numbers, "/")
	var err1, err2 error
	out.Score, err1 = number(score)
	out.Limit, err2 = number(limit)
	if !ok || !both || err1 != nil || err2 != nil {
		return false
	}
	out.Action, out.Folder = "ham", rules.Inbox
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "true", "yes":
		out.Action, out.Folder = "spam", rules.Junk
	}
	return true
}

// number reads a finite number.
func number(s string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}

// readSymbols reads the table at the end of a report, or a list of names.
func readSymbols(body string) []rules.Symbol {
	var out []rules.Symbol
	lines := strings.Split(strings.ReplaceAll(body, "\r\n", "\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "---- -----") {
			return readTable(lines[i+1:])
		}
	}
	if len(lines) > 1 && strings.TrimSpace(strings.Join(lines[1:], "")) != "" {
		return nil // a report without a table
	}
	for name := range strings.SplitSeq(lines[0], ",") {
		if name = strings.TrimSpace(name); ruleName(name) && len(out) < maxRules {
			out = append(out, rules.Symbol{Name: clip(name)})
		}
	}
	return out
}

// readTable reads lines of score, name and description; what a line has
// instead of a score continues the description above.
func readTable(lines []string) []rules.Symbol {
	var out []rules.Symbol
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) >= 2 && ruleName(words[1]) {
			if score, err := number(words[0]); err == nil {
				out = append(out, rules.Symbol{Name: clip(words[1]), Score: score, Description: clip(strings.Join(words[2:], " "))})
				continue
			}
		}
		if len(words) > 0 && len(out) > 0 && strings.HasPrefix(line, "     ") {
			last := &out[len(out)-1]
			last.Description = clip(strings.TrimSpace(last.Description + " " + strings.Join(words, " ")))
		}
	}
	return heaviest(out)
}

// ruleName reports whether s looks like the name of a rule: capitals, digits
// and underscores, beginning with a letter or underscore.
func ruleName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
