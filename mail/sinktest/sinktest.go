// Package sinktest catches mail in tests, in the manner of net/http/httptest:
// a real SMTP server on a loopback port, with the sink behind it, for as long
// as one test runs.
//
//	program under test ──SMTP──▶ Server.Addr ──▶ sink ──▶ Server.MustWait
//
// Everything lies in a temporary directory that goes with the test. Nothing is
// delivered and nothing that a mail names is fetched. The package has no web
// pages of its own; [HTTP] serves those a test brings along.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
	"invited/mail/sink/smtpd"
	"invited/mail/sink/spool"
)

// Patience is how long [Server.MustWait] waits.
const Patience = 10 * time.Second

// Server is a running sink. It is safe for concurrent use.
type Server struct {
	Addr   string      // host:port of SMTP
	URL    string      // of what [HTTP] serves; empty without it
	Sink   *sink.Sink  // for what the methods do not offer
	Faults *faults.Set // lets SMTP fail: see [faults.Set.Replace]

	t  testing.TB
	mu sync.Mutex
	at map[string]string // per recipient: the id of the message that Wait returned last
}

// Message is one mail as a recipient got it. What could not be parsed is empty;
// Raw never is.
type Message struct {
	ID         string
	From       string   // reverse-path of the envelope
	To         []string // forward-paths of the envelope, blind copies included
	Subject    string
	Text       string // of all text/plain parts
	HTML       string // of all text/html parts
	Links      []Link // of both, without repeats
	Parts      []mime.Part
	Raw        []byte        // as it came
	Recipient  string        // whose mailbox it was found in
	Folder     sink.Folder   // where it was filed for Recipient
	Verdict    rules.Verdict // and why
	Transcript string        // what was said by SMTP
}

// Link is a link of a mail; Text is what is shown instead of the URL.
type Link struct{ URL, Text string }

// Link returns the first link whose URL contains part, or an empty one.
func (m Message) Link(part string) Link {
	for _, l := range m.Links {
		if strings.Contains(l.URL, part) {
			return l
		}
	}
	return Link{}
}

// Option changes what [New] starts.
type Option func(*settings)

type settings struct {
	smtp smtpd.Options
	http func(*sink.Sink) http.Handler
}

// SMTP lets change set limits, TLS and logins of the listener.
func SMTP(change func(*smtpd.Options)) Option {
	return func(s *settings) { change(&s.smtp) }
}

// HTTP serves what handler returns at [Server.URL].
func HTTP(handler func(*sink.Sink) http.Handler) Option {
	return func(s *settings) { s.http = handler }
}

// New starts a sink, which ends with the test. It fails the test if it cannot.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, Faults: &faults.Set{}, at: map[string]string{}}
	var o settings
	for _, change := range options {
		change(&o)
	}
	var err error
	if s.Sink, err = sink.Open(sink.Options{Dir: t.TempDir(), JudgeAll: sink.Judge{}.All, Now: o.smtp.Now, Log: o.smtp.Log}); err != nil {
		t.Fatalf("sinktest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Sink.Close(); err != nil {
			t.Errorf("sinktest: %v", err)
		}
	})
	if o.smtp.Sink == nil {
		o.smtp.Sink = s.Sink
	}
	if o.smtp.Faults == nil {
		o.smtp.Faults = s.Faults
	}
	s.serve(o.smtp)
	if o.http != nil {
		web := httptest.NewServer(o.http(s.Sink))
		t.Cleanup(web.Close)
		s.URL = web.URL
	}
	return s
}

// serve starts the listener.
func (s *Server) serve(o smtpd.Options) {
	s.t.Helper()
	listener, err := smtpd.New(o)
	if err != nil {
		s.t.Fatalf("sinktest: %v", err)
	}
	l, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("sinktest: %v", err)
	}
	s.Addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- listener.Serve(l) }()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // clients that stay are cut off
		defer cancel()
		_ = listener.Shutdown(ctx)
		if err := <-done; !errors.Is(err, smtpd.ErrServerClosed) {
			s.t.Errorf("sinktest: %v", err)
		}
	})
}

// Wait returns the next mail to the recipient: each message once, in the order
// in which they came, those that are already there first. It waits until ctx
// ends, and then returns ctx's error.
func (s *Server) Wait(ctx context.Context, to string) (Message, error) {
	s.mu.Lock()
	after, ok := s.at[sink.Key(to)]
	s.mu.Unlock()
	if !ok {
		after = spool.FromKey(1).String() // before all others
	}
	c, err := s.Sink.Wait(ctx, sink.Query{Recipient: to}, after)
	if err != nil {
		return Message{}, err
	}
	s.mu.Lock()
	s.at[sink.Key(to)] = max(c.ID, s.at[sink.Key(to)])
	s.mu.Unlock()
	return s.message(ctx, c, to)
}

// MustWait is [Server.Wait] for [Patience] at most. It fails the test if no
// mail comes, so it belongs into the test's own goroutine.
func (s *Server) MustWait(to string) Message {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	m, err := s.Wait(ctx, to)
	if err != nil {
		s.t.Fatalf("sinktest: no mail to %s came: %v; there is mail to %s", to, err, s.recipients())
	}
	return m
}

// recipients lists who has mail, for a person who looks for a mistake.
func (s *Server) recipients() string {
	boxes, err := s.Sink.Folders(context.Background(), "", 20)
	if err != nil || len(boxes) == 0 {
		return "nobody"
	}
	var names []string
	for _, b := range boxes {
		names = append(names, b.Address)
	}
	return strings.Join(names, ", ")
}

// Messages returns all mail in the order in which it came, one for each message
// whatever its recipients. Folder and verdict are the first recipient's.
func (s *Server) Messages() []Message {
	s.t.Helper()
	ctx := s.t.Context()
	page, err := s.Sink.List(ctx, sink.Query{Limit: -1})
	if err != nil {
		s.t.Fatalf("sinktest: %v", err)
	}
	list := make([]Message, 0, len(page.Messages))
	for i := len(page.Messages) - 1; i >= 0; i-- {
		m, err := s.message(ctx, page.Messages[i], "")
		if err != nil {
			s.t.Fatalf("sinktest: %v", err)
		}
		list = append(list, m)
	}
	return list
}

// Clear deletes all mail.
func (s *Server) Clear() {
	s.t.Helper()
	if err := s.Sink.DeleteAll(s.t.Context()); err != nil {
		s.t.Fatalf("sinktest: %v", err)
	}
}

// message reads a message whole.
func (s *Server) message(ctx context.Context, c sink.Captured, to string) (Message, error) {
	raw, err := s.Sink.Raw(ctx, c.ID)
	if err != nil {
		return Message{}, fmt.Errorf("sinktest: message %s: %w", c.ID, err)
	}
	transcript, err := s.Sink.Transcript(ctx, c.ID)
	if err != nil {
		return Message{}, fmt.Errorf("sinktest: message %s: %w", c.ID, err)
	}
	parsed, _ := mime.Parse(raw, mime.Limits{}) // what was understood is shown
	m := Message{
		ID: c.ID, From: c.Envelope.From, To: c.Envelope.To, Raw: raw, Transcript: transcript,
		Subject: parsed.Subject, Text: parsed.Text, HTML: parsed.HTML, Parts: parsed.Parts,
	}
	for _, l := range parsed.Links {
		m.Links = append(m.Links, Link{URL: l.URL, Text: l.Text})
	}
	for _, r := range c.Recipients {
		if to == "" || sink.Key(r.Address) == sink.Key(to) {
			m.Recipient, m.Folder, m.Verdict = r.Address, r.Folder, r.Verdict
			break
		}
	}
	return m, nil
}
