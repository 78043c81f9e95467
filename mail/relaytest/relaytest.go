// Package relaytest is an SMTP server for tests of delivery: it does at each
// stage of the dialogue what a test wants, from a refusal to a reset.
//
// It is no sink: it keeps what it was sent in memory and forgets it with the
// test. Programs do not use it.
package relaytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Relay is an SMTP server that does what a test wants at each stage and
// notes what it was sent. It reads strictly: CRLF ends lines, CRLF.CRLF data.
// Its fields are set before Start.
type Relay struct {
	Caps     []string    // after the first line of the reply to EHLO; nil: HELO only
	TLS      *tls.Config // for STARTTLS, or from the first byte if Implicit
	Implicit bool

	// Answer returns the reply to a command or stage ("greeting", "TLS",
	// "EHLO", "MAIL", "body"…) of the nth connection, from 1; empty for the
	// usual one. The words hang, reset and fin are done instead of said. Nil
	// means that all goes well.
	Answer func(conn int, verb string) string

	Addr string        // set by Start
	Done chan struct{} // closed when the relay is to stop; set by Start

	mu     sync.Mutex
	conns  int
	lines  []string // all commands, in order of arrival
	tried  []string // bodies that came whole, whatever they were answered
	mails  []string // bodies that were answered with 2xx
	nobody []string // bodies that came although no recipient had been accepted
}

// Start listens on a loopback port until the test ends.
func (f *Relay) Start(t testing.TB) *Relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.Addr, f.Done = l.Addr().String(), make(chan struct{})
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
				f.Serve(nc, n)
			})
		}
	})
	t.Cleanup(func() {
		close(f.Done)
		_ = l.Close()
		all.Wait()
	})
	return f
}

// URL is the relay's address as an option of whoever delivers.
func (f *Relay) URL() string {
	if f.Implicit {
		return "smtps://" + f.Addr
	}
	return "smtp://" + f.Addr
}

// Seen returns how many connections came, all commands in order of arrival, and
// the bodies that were answered with 2xx.
func (f *Relay) Seen() (conns int, lines, mails []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns, slices.Clone(f.lines), slices.Clone(f.mails)
}

// Tried returns the bodies that came whole, whatever they were answered.
func (f *Relay) Tried() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tried)
}

// ForNobody returns the bodies that came although no recipient had been
// accepted.
func (f *Relay) ForNobody() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nobody)
}

// session is one connection of a Relay.
type session struct {
	f    *Relay
	nc   net.Conn
	br   *bufio.Reader
	conn int
	over bool
}

// say replies for verb: with what the test wants, or with usual. It returns the
// first digit of what was said, 0 if nothing was.
func (s *session) say(verb, usual string) byte { return s.do(s.choose(verb, usual)) }

func (s *session) choose(verb, usual string) string {
	if s.f.Answer != nil {
		if a := s.f.Answer(s.conn, verb); a != "" {
			return a
		}
	}
	return usual
}

func (s *session) do(r string) byte {
	switch r {
	case "hang":
		go func() { // the client's end of the connection ends it
			<-s.f.Done
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

// Serve serves one connection, the nth, until it ends. Start calls it; tests
// that bring a connection of their own may, once Done is set.
func (f *Relay) Serve(nc net.Conn, n int) {
	s := &session{f: f, nc: nc, br: bufio.NewReader(nc), conn: n}
	if f.Implicit {
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
	if s.f.Caps == nil {
		s.say("EHLO", "502 5.5.1 What?")
		return
	}
	lines := append([]string{"relay.example"}, s.f.Caps...)
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
	if r := s.choose("TLS", ""); r != "" {
		s.do(r)
		s.over = true
		return
	}
	t := tls.Server(s.nc, s.f.TLS)
	if t.HandshakeContext(context.Background()) != nil { // the client's end of it ends it
		s.over = true
		return
	}
	s.nc = t
	s.br.Reset(t)
}

// auth knows jane, her password, "secret word", and her token, "fresh".
func (s *session) auth(arg string) {
	ok := false
	switch mech, initial, _ := strings.Cut(arg, " "); mech {
	case "PLAIN":
		ok = initial == encode("\x00jane\x00secret word")
	case "LOGIN":
		ok = s.challenge(encode("Username:"), encode("jane")) && s.challenge(encode("password?"), encode("secret word"))
	case "XOAUTH2":
		if ok = initial == encode("user=jane\x01auth=Bearer fresh\x01\x01"); !ok {
			s.challenge(encode(`{"status":"401"}`), "") // whose answer is empty, before the refusal
		}
	}
	if ok {
		s.say("AUTH", "235 2.7.0 Welcome")
		return
	}
	s.say("AUTH", "535 5.7.8 Credentials invalid")
}

// challenge reports whether the answer to a challenge is the wanted one.
func (s *session) challenge(text, want string) bool {
	s.say("challenge", "334 "+text)
	line, err := s.br.ReadString('\n')
	return err == nil && line == want+"\r\n"
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

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
	s.f.mu.Lock()
	s.f.tried = append(s.f.tried, text)
	if r[0] == '2' {
		s.f.mails = append(s.f.mails, text)
	}
	s.f.mu.Unlock()
	s.do(r)
}
