package smtpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"invited/mail"
	"invited/mail/sink"
	"invited/mail/sink/faults"
)

// session is one client's transactions. It implements smtp.AuthSession.
type session struct {
	srv  *Server
	conn *smtp.Conn
	gate *gate
	user string

	mu   sync.Mutex // a BDAT body is read in a goroutine of its own
	open bool       // MAIL was accepted
	env  sink.Envelope
	size int64 // as declared
}

// reply makes an answer. go-smtp writes it as it is, whatever its code.
func reply(code int, enhanced smtp.EnhancedCode, format string, args ...any) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: fmt.Sprintf(format, args...)}
}

// Mail serves MAIL.
func (s *session) Mail(_ string, o *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return reply(503, smtp.EnhancedCode{5, 5, 1}, "a message is already under way, say RSET first")
	}
	if s.srv.opts.RequireAuth && !s.gate.authed {
		return reply(530, smtp.EnhancedCode{5, 7, 0}, "authentication is required")
	}
	from, err := s.path("FROM:", o.UTF8)
	if err != nil {
		return err
	}
	if err := s.fault(faults.Mail, from.String(), ""); err != nil {
		return err
	}
	s.open, s.size = true, o.Size
	s.env = sink.Envelope{
		From:      from.String(),
		Helo:      s.conn.Hostname(),
		Remote:    s.gate.RemoteAddr().String(),
		TLS:       s.gate.tls,
		User:      s.user,
		SMTPUTF8:  o.UTF8,
		Body:      string(o.Body),
		SessionID: s.gate.id,
	}
	return nil
}

// Rcpt serves RCPT.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, err := s.path("TO:", s.env.SMTPUTF8)
	if err != nil {
		return err
	}
	if to.IsNull() {
		return reply(501, smtp.EnhancedCode{5, 1, 3}, "the null path cannot receive mail")
	}
	if err := s.fault(faults.Rcpt, s.env.From, to.String()); err != nil {
		return err
	}
	s.env.To = append(s.env.To, to.String())
	s.countRecipients(len(s.env.To))
	return nil
}

// countRecipients tells the gate how many recipients the message has.
func (s *session) countRecipients(n int) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.rcpts = n
}

// fault plays the fault a test asked for, if there is one.
func (s *session) fault(stage faults.Stage, from, to string) *smtp.SMTPError {
	if s.srv.opts.Faults == nil {
		return nil
	}
	f, ok := s.srv.opts.Faults.Check(stage, from, to)
	if !ok {
		return nil
	}
	if f.Delay > 0 {
		_ = s.gate.flush() // earlier replies are not late
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.srv.ctx.Done():
		}
	}
	switch {
	case f.Drop:
		s.gate.drop()
	case f.Code == 421:
		s.gate.last.Store(true) // RFC 5321 section 3.8: the server closes after it
	case f.Code == 0:
		return nil
	}
	return reply(f.Code, f.Enhanced(), "%s", f.Text)
}

// path reads the path of the command being served from the line as it came:
// what go-smtp hands over has lost its quoting, and its parser takes too much.
func (s *session) path(keyword string, utf8 bool) (mail.Path, error) {
	line := s.gate.raw
	i := strings.IndexByte(line, ':')
	if i < 0 {
		return mail.Path{}, reply(501, smtp.EnhancedCode{5, 5, 4}, "expected %s<address>", keyword)
	}
	rest := strings.TrimLeft(line[i+1:], " ") // RFC 5321 section 4.1.1.2 forbids the space, many send it
	end := pathEnd(rest)
	if end < 0 {
		return mail.Path{}, reply(501, smtp.EnhancedCode{5, 5, 4}, "expected %s<address>, with angle brackets", keyword)
	}
	p, err := mail.ParsePath(rest[:end])
	if err != nil {
		rule := "the address is malformed"
		var pe *mail.PathError
		if errors.As(err, &pe) {
			rule = pe.Rule
		}
		return mail.Path{}, reply(553, smtp.EnhancedCode{5, 1, 3}, "this address is refused: %s", rule)
	}
	if p.NeedsSMTPUTF8() && !utf8 {
		return mail.Path{}, reply(553, smtp.EnhancedCode{5, 6, 7}, "this address needs the SMTPUTF8 parameter of MAIL")
	}
	return p, nil
}

// pathEnd returns the length of the bracketed path s begins with, or -1.
func pathEnd(s string) int {
	if !strings.HasPrefix(s, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			if i+1 < len(s) && s[i+1] != ' ' {
				return -1
			}
			return i + 1
		}
	}
	return -1
}

// Data serves DATA, and BDAT, whose reader is a pipe.
func (s *session) Data(r io.Reader) error {
	s.mu.Lock()
	env, size := s.env, s.size
	s.mu.Unlock()
	var raw []byte
	var err error
	if pipe, ok := r.(*io.PipeReader); ok {
		if raw, err = readAll(pipe, max(size, s.gate.sized.Load())); err == nil {
			s.gate.note('C', fmt.Sprintf("(%d bytes of message in all)", len(raw)))
		}
	} else {
		raw, err = s.gate.readData(size)
	}
	if err != nil {
		return s.bodyError(err)
	}
	if s.gate.lmtp {
		return s.storeEach(env, raw)
	}
	for _, to := range env.To {
		if err := s.fault(faults.Data, env.From, to); err != nil {
			return err
		}
	}
	id, failure := s.receive(env, raw, []string{"250 2.0.0 Ok: queued as " + sink.TranscriptID})
	if failure != nil {
		return failure
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "Ok: queued as %s", id)
}

// receive stores a message with its transcript, which ends with replies.
func (s *session) receive(env sink.Envelope, raw []byte, replies []string) (id string, failure *smtp.SMTPError) {
	env.Received = s.srv.opts.Now()
	env.Transcript = s.gate.transcript(replies...)
	id, err := s.srv.opts.Sink.Receive(s.srv.ctx, env, raw)
	switch {
	case errors.Is(err, sink.ErrFull):
		s.srv.opts.Log.Warn("message refused", "op", "smtpd.Data", "err", err)
		return "", reply(452, smtp.EnhancedCode{4, 3, 1}, "the storage is full")
	case err != nil:
		s.srv.opts.Log.Error("message not stored", "op", "smtpd.Data", "err", err)
		return "", reply(451, smtp.EnhancedCode{4, 3, 0}, "the message could not be stored")
	}
	s.gate.accepted.Store(true)
	s.srv.accepted.Add(1)
	s.srv.acceptedBytes.Add(int64(len(raw)))
	return id, nil
}

// readAll reads a body sent in chunks.
func readAll(r io.Reader, hint int64) ([]byte, error) {
	var b bytes.Buffer
	if hint > 0 && hint <= 1<<20 {
		b.Grow(int(hint) + bytes.MinRead)
	}
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// bodyError words what went wrong while a body was read.
func (s *session) bodyError(err error) error {
	switch {
	case errors.Is(err, errTooLarge):
		return reply(552, smtp.EnhancedCode{5, 3, 4}, "the message is larger than %d bytes", s.srv.opts.MaxMessageBytes)
	case errors.Is(err, errLineTooLong):
		s.gate.last.Store(true)
		return reply(500, smtp.EnhancedCode{5, 5, 2}, "a line is longer than %d characters", s.srv.opts.MaxLineLength)
	default:
		return brokenBody(err)
	}
}

// brokenBody words an error of the connection inside a body. What follows on
// that connection, if anything, is not read.
func brokenBody(err error) *smtp.SMTPError {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return reply(421, smtp.EnhancedCode{4, 4, 2}, "the message came too slowly")
	}
	return reply(421, smtp.EnhancedCode{4, 4, 0}, "the connection broke inside the message")
}

// Reset serves RSET, and the end of each transaction.
func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.env, s.size = false, sink.Envelope{}, 0
	s.countRecipients(0)
}

// Logout ends the session.
func (s *session) Logout() error { return nil }
