package smtpout_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeRelay is an SMTP server that does what a test wants at each stage and
// notes what it was sent. It reads strictly: CRLF ends lines, CRLF.CRLF data.
type fakeRelay struct {
	caps  []string // after the first line of the reply to EHLO; nil: HELO only
	tls   *tls.Config
	smtps bool

	// answer returns the reply to a command or stage ("greeting", "EHLO",
	// "MAIL", "body"…) of the nth connection, from 1; empty for the usual
	// one. The words hang, reset and fin are done instead of said.
	answer func(conn int, verb string) string

	mu     sync.Mutex
	conns  int
	lines  []string // all commands, in order of arrival
	mails  []string // bodies that were answered with 2xx
	nobody []string // bodies that came although no recipient had been accepted
	done   chan struct{}
	addr   string
}

// start listens on a loopback port until the test ends.
func (f *fakeRelay) start(t testing.TB) *fakeRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.addr, f.done = l.Addr().String(), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns++
			n := f.conns
			f.mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				f.serve(nc, n)
			})
		}
	})
	t.Cleanup(func() {
		close(f.done)
		_ = l.Close()
		all.Wait()
	})
	return f
}

// url is the relay's address as an option.
func (f *fakeRelay) url() string {
	if f.smtps {
		return "smtps://" + f.addr
	}
	return "smtp://" + f.addr
}

func (f *fakeRelay) seen() (conns int, lines, mails []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns, append([]string(nil), f.lines...), append([]string(nil), f.mails...)
}

// session is one connection of a fakeRelay.
type session struct {
	f    *fakeRelay
	nc   net.Conn
	br   *bufio.Reader
	conn int
	over bool
}

// say replies for verb: with what the test wants, or with usual. It returns the
// first digit of what was said, 0 if nothing was.
func (s *session) say(verb, usual string) byte { return s.do(s.choose(verb, usual)) }

func (s *session) choose(verb, usual string) string {
	if s.f.answer != nil {
		if a := s.f.answer(s.conn, verb); a != "" {
			return a
		}
	}
	return usual
}

func (s *session) do(r string) byte {
	switch r {
	case "hang":
		go func() { // the client's end of the connection ends it
			<-s.f.done
			_ = s.nc.Close()
		}()
		_, _ = io.Copy(io.Discard, s.br)
		s.over = true
		return 0
	case "reset":
		if tcp, ok := s.nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		s.over = true
		return 0
	case "fin":
		s.over = true
		return 0
	}
	_, err := io.WriteString(s.nc, r+"\r\n")
	s.over = err != nil || strings.HasPrefix(r, "421")
	return r[0]
}

func (f *fakeRelay) serve(nc net.Conn, n int) {
	s := &session{f: f, nc: nc, br: bufio.NewReader(nc), conn: n}
	if f.smtps {
		s.upgrade()
	}
	s.say("greeting", "220 relay.example ESMTP")
	var sender, rcpt bool
	for !s.over {
		line, err := s.br.ReadString('\n')
		if err != nil || !strings.HasSuffix(line, "\r\n") {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		f.mu.Lock()
		f.lines = append(f.lines, line)
		f.mu.Unlock()
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			s.ehlo()
		case "RSET":
			sender, rcpt = false, false
			s.say(verb, "250 2.0.0 Ok")
		case "MAIL":
			sender = s.say(verb, "250 2.1.0 Ok") == '2'
		case "RCPT":
			usual := "250 2.1.5 Ok"
			if !sender {
				usual = "503 5.5.1 No sender"
			}
			rcpt = s.say(verb, usual) == '2'
		case "STARTTLS":
			if s.say(verb, "220 2.0.0 Ready") == '2' {
				s.upgrade()
			}
		case "AUTH":
			s.auth(arg)
		case "DATA":
			s.data(rcpt)
			rcpt = false
		case "BDAT":
			s.bdat(arg, rcpt)
			rcpt = false
		case "QUIT":
			s.say(verb, "221 2.0.0 Bye")
			return
		default: // HELO
			s.say(verb, "250 relay.example")
		}
	}
}

func (s *session) ehlo() {
	if s.f.caps == nil {
		s.say("EHLO", "502 5.5.1 What?")
		return
	}
	lines := append([]string{"relay.example"}, s.f.caps...)
	for i := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + lines[i]
	}
	s.say("EHLO", strings.Join(lines, "\r\n"))
}

func (s *session) upgrade() {
	t := tls.Server(s.nc, s.f.tls)
	if t.Handshake() != nil {
		s.over = true
		return
	}
	s.nc = t
	s.br.Reset(t)
}

// auth knows jane and her password, "secret word".
func (s *session) auth(arg string) {
	ok := arg == "PLAIN AGphbmUAc2VjcmV0IHdvcmQ="
	if arg == "LOGIN" {
		ok = true
		for _, step := range [][2]string{{"334 VXNlcm5hbWU6", "amFuZQ=="}, {"334 cGFzc3dvcmQ/", "c2VjcmV0IHdvcmQ="}} {
			s.say("challenge", step[0])
			line, err := s.br.ReadString('\n')
			ok = ok && err == nil && line == step[1]+"\r\n"
		}
	}
	if ok {
		s.say("AUTH", "235 2.7.0 Welcome")
		return
	}
	s.say("AUTH", "535 5.7.8 Credentials invalid")
}

func (s *session) data(rcpt bool) {
	usual := "354 Go on"
	if !rcpt {
		usual = "503 5.5.1 No valid recipients"
	}
	if s.say("DATA", usual) != '3' {
		return
	}
	var body strings.Builder
	for {
		line, err := s.br.ReadString('\n')
		if err != nil {
			s.over = true
			return
		}
		if line == ".\r\n" {
			break
		}
		body.WriteString(strings.TrimPrefix(line, "."))
	}
	if !rcpt {
		s.f.mu.Lock()
		s.f.nobody = append(s.f.nobody, body.String())
		s.f.mu.Unlock()
		s.say("", "554 5.5.1 No valid recipients")
		return
	}
	s.body(body.String())
}

func (s *session) bdat(arg string, rcpt bool) {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(size)
	body := make([]byte, n)
	if _, rerr := io.ReadFull(s.br, body); err != nil || rerr != nil || last != "LAST" {
		s.over = true
		return
	}
	if !rcpt {
		s.say("BDAT", "503 5.5.1 No valid recipients")
		return
	}
	s.body(string(body))
}

// body notes a message that is going to be accepted, and answers its end.
func (s *session) body(text string) {
	r := s.choose("body", "250 2.0.0 Ok: queued as 7")
	if r[0] == '2' {
		s.f.mu.Lock()
		s.f.mails = append(s.f.mails, text)
		s.f.mu.Unlock()
	}
	s.do(r)
}
