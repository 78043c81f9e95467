package smtpout_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/relaytest"
	"invited/mail/smtpout"
)

func TestTheKeptConnectionThatIsGone(t *testing.T) {
	tests := []struct {
		name   string
		first  string // what the relay does on its first connection, at the second MAIL
		caps   []string
		conns  int
		result bool
	}{
		{"closed before DATA: once more at once", "fin", dialects["pipelined"], 2, true},
		{"reset before DATA: once more at once", "reset", dialects["lock-step"], 2, true},
		{"farewell in reply to MAIL: once more at once", "421 4.4.2 Idle too long", dialects["pipelined"], 2, true},
		{"farewell in reply to MAIL of a chunked message", "421 4.4.2 Idle too long", dialects["chunked"], 2, true},
		{"closed after BDAT: it may have been taken, so not at once", "fin", dialects["chunked"], 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			f := (&relaytest.Relay{Caps: tt.caps, Answer: func(conn int, verb string) string {
				if verb == "MAIL" && conn == 1 {
					if n++; n == 2 {
						return tt.first
					}
				}
				return ""
			}}).Start(t)
			p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 1})
			require.True(t, p.Send(t.Context(), message()).OK())
			a := p.Send(t.Context(), message())
			require.Equal(t, tt.result, a.OK(), "%+v", a)
			require.Equal(t, !tt.result, a.Ambiguous)
			conns, _, _ := f.Seen()
			require.Equal(t, tt.conns, conns)
			require.Equal(t, int64(tt.conns-1), p.Stats().Restarts)
		})
	}

	t.Run("a new connection that is closed is not tried again", func(t *testing.T) {
		f := (&relaytest.Relay{Caps: dialects["pipelined"], Answer: func(_ int, verb string) string {
			if verb == "MAIL" {
				return "421 4.7.0 Too busy"
			}
			return ""
		}}).Start(t)
		a := pool(t, smtpout.Options{Relay: f.URL()}).Send(t.Context(), message())
		require.Equal(t, 421, a.Code)
		conns, _, _ := f.Seen()
		require.Equal(t, 1, conns)
	})

	t.Run("closed while idle is noticed before the message goes out", func(t *testing.T) {
		var server net.Conn
		ready := make(chan struct{})
		f := (&relaytest.Relay{Caps: dialects["chunked"]}).Start(t)
		p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 1, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, n, a)
			if server == nil && err == nil {
				server = nc
				close(ready)
			}
			return nc, err
		}})
		require.True(t, p.Send(t.Context(), message()).OK())
		<-ready
		require.NoError(t, server.(*net.TCPConn).CloseWrite()) // makes the relay leave
		require.Eventually(t, func() bool {
			return p.Send(t.Context(), message()).OK() && p.Stats().Dialled == 2
		}, 5*time.Second, time.Millisecond)
	})
}

// TestIdleProbeWithoutSocket checks the portable way of noticing that a kept
// connection is gone, and that idle connections are closed.
func TestIdleProbeWithoutSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &relaytest.Relay{Caps: dialects["pipelined"], Done: make(chan struct{})}
		defer close(f.Done)
		var servers []net.Conn
		p := pool(t, smtpout.Options{Relay: "smtp://127.0.0.1", Idle: 10 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			servers = append(servers, theirs)
			n := len(servers)
			go f.Serve(theirs, n)
			return ours, nil
		}})
		require.True(t, p.Send(t.Context(), message()).OK())
		time.Sleep(time.Second) // of the bubble
		require.True(t, p.Send(t.Context(), message()).OK())
		require.Len(t, servers, 1, "alive, so used again")

		_ = servers[0].Close()
		time.Sleep(time.Second)
		require.True(t, p.Send(t.Context(), message()).OK())
		require.Len(t, servers, 2, "gone, so replaced")
		require.Zero(t, p.Stats().Restarts)

		require.Equal(t, smtpout.Stats{Open: 1, Idle: 1, Dialled: 2}, p.Stats())
		time.Sleep(11 * time.Second)
		require.Equal(t, smtpout.Stats{Dialled: 2}, p.Stats())
		_, lines, _ := f.Seen()
		require.Equal(t, "QUIT", lines[len(lines)-1])
	})
}

// countingConn counts the MAIL commands that were written to it.
type countingConn struct {
	net.Conn
	mails *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.mails.Add(int64(bytes.Count(b, []byte("MAIL FROM"))))
	return c.Conn.Write(b)
}

// TestQueueBehindAnotherMessage holds back the reply to the first of three
// messages on one connection: the next ones are on their way by then, and its
// refusal is not theirs.
func TestQueueBehindAnotherMessage(t *testing.T) {
	release := make(chan struct{})
	n := 0
	f := (&relaytest.Relay{Caps: dialects["chunked"], Answer: func(_ int, verb string) string {
		if verb == "body" {
			if n++; n == 1 {
				<-release
				return "550 5.7.1 not this one"
			}
		}
		return ""
	}}).Start(t)
	var written atomic.Int64
	p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 1, Depth: 3, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, n, a)
		return countingConn{nc, &written}, err
	}})
	codes := make(chan int, 4)
	for range 4 {
		go func() { codes <- p.Send(t.Context(), message()).Code }()
	}
	require.Eventually(t, func() bool { return written.Load() == 3 }, 5*time.Second, time.Millisecond)
	close(release)
	require.ElementsMatch(t, []int{550, 250, 250, 250}, []int{<-codes, <-codes, <-codes, <-codes})
	conns, lines, mails := f.Seen()
	require.Equal(t, 1, conns)
	require.Len(t, mails, 3)
	require.GreaterOrEqual(t, strings.Count(strings.Join(lines, "\n"), "RSET"), 2, "whoever writes before the outcome is known resets")
}

// TestNeighboursOfAFailure checks what becomes of messages that were written
// behind one whose connection breaks.
func TestNeighboursOfAFailure(t *testing.T) {
	tests := []struct {
		name, reply string
		conns       int
		codes       []int
		ambiguous   int
	}{
		{"reset: each of them may have been taken", "reset", 1, []int{0, 0, 0}, 3},
		{"farewell: the others were not looked at, and go over a new connection", "421 4.3.2 Closing", 2, []int{421, 250, 250}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			release := make(chan struct{})
			f := (&relaytest.Relay{Caps: dialects["chunked"], Answer: func(conn int, verb string) string {
				if verb == "body" && conn == 1 {
					<-release
					return tt.reply
				}
				return ""
			}}).Start(t)
			var written atomic.Int64
			p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 1, Depth: 3, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, n, a)
				return countingConn{nc, &written}, err
			}})
			attempts := make(chan mail.Attempt, 3)
			for range 3 {
				go func() { attempts <- p.Send(t.Context(), message()) }()
			}
			require.Eventually(t, func() bool { return written.Load() == 3 }, 5*time.Second, time.Millisecond)
			close(release)
			var codes []int
			ambiguous := 0
			for range 3 {
				a := <-attempts
				codes = append(codes, a.Code)
				if a.Ambiguous {
					ambiguous++
				}
			}
			require.ElementsMatch(t, tt.codes, codes)
			require.Equal(t, tt.ambiguous, ambiguous)
			conns, _, _ := f.Seen()
			require.GreaterOrEqual(t, conns, tt.conns)
		})
	}
}

func TestMaxMailsPerConnection(t *testing.T) {
	f := (&relaytest.Relay{Caps: dialects["chunked"]}).Start(t)
	p := pool(t, smtpout.Options{Relay: f.URL(), MaxMails: 2})
	for range 5 {
		require.True(t, p.Send(t.Context(), message()).OK())
	}
	conns, _, _ := f.Seen()
	require.Equal(t, 3, conns)
}

func TestNotMoreConnectionsThanAllowed(t *testing.T) {
	for dialect, caps := range dialects {
		t.Run(dialect, func(t *testing.T) {
			f := (&relaytest.Relay{Caps: caps}).Start(t)
			p := pool(t, smtpout.Options{Relay: f.URL(), Conns: 3, Depth: 2})
			var all sync.WaitGroup
			failed := make(chan mail.Attempt, 200)
			for range 200 {
				all.Go(func() {
					if a := p.Send(t.Context(), message()); !a.OK() {
						failed <- a
					}
				})
			}
			all.Wait()
			require.Empty(t, failed)
			conns, _, mails := f.Seen()
			require.LessOrEqual(t, conns, 3)
			require.Equal(t, 200, len(mails))
		})
	}
}
