package pop3d

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"invited/mail/sink"
)

// session is one client.
type session struct {
	srv    *Server
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	login  time.Time // by which the client is to be logged in
	user   string    // of USER
	box    bool      // logged in
	quit   bool
	errors int // in a row

	messages []*message
}

// message is one of the maildrop. Its number is its place, from 1.
type message struct {
	entry  sink.Entry
	uids   []uint32 // more than one if it was copied over another protocol
	marked bool
}

// errRefused is an error whose text is for the client.
type errRefused string

func (e errRefused) Error() string { return string(e) }

func newSession(s *Server, c net.Conn) *session {
	return &session{
		srv: s, conn: c, in: bufio.NewReaderSize(c, 2*maxLine), out: bufio.NewWriterSize(c, 32<<10),
		login: time.Now().Add(s.opts.LoginTimeout),
	}
}

func (s *session) run() {
	s.ok("POP3 server ready")
	for !s.quit && s.flush() == nil {
		until := s.login
		if s.box {
			until = time.Now().Add(s.srv.opts.IdleTimeout)
		}
		_ = s.conn.SetReadDeadline(until)
		line, err := readLine(s.in)
		if err != nil {
			s.end(err)
			return
		}
		c := parse(line)
		if err := s.serve(c); err != nil {
			s.refuse(err, c.verb)
		} else {
			s.errors = 0
		}
	}
	_ = s.flush()
}

// end says why the connection ends, if it is not the client's doing.
func (s *session) end(err error) {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		s.err("[SYS/TEMP] the time is over")
	} else if errors.Is(err, errLine) {
		s.err("the line is too long")
	}
	_ = s.flush()
}

func (s *session) refuse(err error, verb string) {
	refused, ok := errors.AsType[errRefused](err)
	if !ok {
		s.srv.opts.Log.Warn("pop3 command failed", "op", verb, "err", err)
		refused = "[SYS/TEMP] the mail cannot be read for now"
	}
	s.err(string(refused))
	if s.errors++; s.errors >= maxErrors {
		s.quit = true
	}
}

// say writes a part of a reply. What becomes of it, flush tells.
func (s *session) say(b []byte) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.srv.opts.WriteTimeout))
	_, _ = s.out.Write(b)
}

func (s *session) flush() error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.srv.opts.WriteTimeout))
	return s.out.Flush()
}

func (s *session) ok(format string, args ...any) {
	s.say(fmt.Appendf(nil, "+OK "+format+"\r\n", args...))
}

func (s *session) err(text string) { s.say([]byte("-ERR " + text + "\r\n")) }

// state is when a command may be said.
type state int

const (
	always state = iota
	before       // login
	after
)

type verb struct {
	when  state
	serve func(*session, command) error
}

var verbs map[string]verb

func init() {
	verbs = map[string]verb{
		"CAPA": {always, (*session).capa}, "QUIT": {always, (*session).bye},
		"USER": {before, (*session).name}, "PASS": {before, (*session).pass},
		"STAT": {after, (*session).stat}, "LIST": {after, (*session).list}, "UIDL": {after, (*session).uidl},
		"RETR": {after, (*session).retr}, "TOP": {after, (*session).top}, "DELE": {after, (*session).dele},
		"RSET": {after, (*session).rset}, "NOOP": {after, (*session).noop},
	}
}

func (s *session) serve(c command) error {
	v, ok := verbs[c.verb]
	switch {
	case !ok:
		if !s.box {
			s.quit = true // a browser that was led here would go on with a body
		}
		return errRefused("unknown command")
	case v.when == after && !s.box:
		return errRefused("log in first")
	case v.when == before && s.box:
		return errRefused("already logged in")
	}
	return v.serve(s, c)
}

func (s *session) capa(command) error {
	s.ok("these are the capabilities")
	s.say([]byte("USER\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\nIMPLEMENTATION invited\r\n.\r\n"))
	return nil
}

func (s *session) name(c command) error {
	if !strings.Contains(c.args, "@") && !strings.EqualFold(c.args, "postmaster") || len(c.args) > 320 {
		return errRefused("[AUTH] the user name is the address of a recipient")
	}
	s.user = c.args
	s.ok("any password will do")
	return nil
}

// pass opens the maildrop: what arrives later is for the next session.
func (s *session) pass(command) error {
	if s.user == "" {
		return errRefused("USER comes first")
	}
	if err := s.srv.opts.Sink.Settle(s.srv.ctx); err != nil {
		return err
	}
	l, err := s.srv.opts.Sink.Entries(s.srv.ctx, s.user, sink.Inbox)
	if err != nil {
		return err
	}
	known := map[string]*message{}
	for _, e := range l.Entries {
		m := known[e.ID]
		if m == nil {
			m = &message{entry: e}
			known[e.ID] = m
			s.messages = append(s.messages, m)
		}
		m.uids = append(m.uids, e.UID)
	}
	s.box = true
	s.ok("there are %d messages", len(s.messages))
	return nil
}

// text returns a message as it is sent, before stuffing.
func (s *session) text(m *message) ([]byte, error) {
	raw, err := s.srv.opts.Sink.RawEntry(s.srv.ctx, m.entry)
	if errors.Is(err, sink.ErrNotFound) {
		return nil, errRefused("the message has been deleted meanwhile")
	} else if err != nil {
		return nil, err
	}
	out := lines(raw)
	s.srv.remember(m.entry.ID, len(out))
	return out, nil
}

// size returns how many bytes of a message are sent. One that has been deleted
// meanwhile has none.
func (s *session) size(m *message) (int, error) {
	if n, ok := s.srv.recall(m.entry.ID); ok {
		return n, nil
	}
	out, err := s.text(m)
	if _, gone := errors.AsType[errRefused](err); gone {
		return 0, nil
	}
	return len(out), err
}

// at returns the message with a number that a client named.
func (s *session) at(n int) (*message, error) {
	if n < 1 || n > len(s.messages) {
		return nil, errRefused("there is no such message")
	}
	if m := s.messages[n-1]; !m.marked {
		return m, nil
	}
	return nil, errRefused("the message is marked as deleted")
}

func (s *session) stat(command) error {
	count, total := 0, 0
	for _, m := range s.messages {
		if m.marked {
			continue
		}
		n, err := s.size(m)
		if err != nil {
			return err
		}
		count++
		total += n
	}
	s.ok("%d %d", count, total)
	return nil
}

func (s *session) list(c command) error {
	return s.each(c, func(m *message) (string, error) {
		n, err := s.size(m)
		return fmt.Sprint(n), err
	})
}

// uidl names messages by their ids, which never change.
func (s *session) uidl(c command) error {
	return s.each(c, func(m *message) (string, error) { return m.entry.ID, nil })
}

// each answers a command about one message or all of them.
func (s *session) each(c command, show func(*message) (string, error)) error {
	numbers, ok := c.numbers(0, 1)
	if !ok {
		return errRefused("the argument is the number of a message")
	}
	if len(numbers) == 1 {
		m, err := s.at(numbers[0])
		if err != nil {
			return err
		}
		text, err := show(m)
		if err == nil {
			s.ok("%d %s", numbers[0], text)
		}
		return err
	}
	var all bytes.Buffer
	for i, m := range s.messages {
		if m.marked {
			continue
		}
		text, err := show(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%d %s\r\n", i+1, text)
	}
	s.ok("the messages follow")
	all.WriteString(".\r\n")
	s.say(all.Bytes())
	return nil
}

func (s *session) retr(c command) error {
	numbers, ok := c.numbers(1, 1)
	if !ok {
		return errRefused("RETR takes the number of a message")
	}
	m, err := s.at(numbers[0])
	if err != nil {
		return err
	}
	text, err := s.text(m)
	if err == nil {
		err = s.srv.opts.Sink.SetRead(s.srv.ctx, []string{m.entry.ID}, true)
	}
	if err != nil {
		return err
	}
	s.ok("%d octets", len(text))
	s.say(stuff(text))
	return nil
}

func (s *session) top(c command) error {
	numbers, ok := c.numbers(2, 2)
	if !ok {
		return errRefused("TOP takes the number of a message and a number of lines")
	}
	m, err := s.at(numbers[0])
	if err != nil {
		return err
	}
	text, err := s.text(m)
	if err != nil {
		return err
	}
	s.ok("the top follows")
	s.say(stuff(top(text, numbers[1])))
	return nil
}

func (s *session) dele(c command) error {
	numbers, ok := c.numbers(1, 1)
	if !ok {
		return errRefused("DELE takes the number of a message")
	}
	m, err := s.at(numbers[0])
	if err != nil {
		return err
	}
	m.marked = true
	s.ok("it will be deleted at QUIT")
	return nil
}

func (s *session) rset(command) error {
	for _, m := range s.messages {
		m.marked = false
	}
	s.ok("nothing will be deleted")
	return nil
}

func (s *session) noop(command) error {
	s.ok("done")
	return nil
}

// bye serves QUIT, which deletes.
func (s *session) bye(command) error {
	s.quit = true
	var uids []uint32
	for _, m := range s.messages {
		if m.marked {
			uids = append(uids, m.uids...)
		}
	}
	if len(uids) > 0 {
		if _, err := s.srv.opts.Sink.RemoveEntries(s.srv.ctx, s.user, sink.Inbox, uids); err != nil {
			return err
		}
	}
	s.ok("goodbye")
	return nil
}
