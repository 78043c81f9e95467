package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store/sqlite"
)

// crashNumber reads the size of the crash test from the environment: make crash
// runs it longer than go test does.
func crashNumber(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// senders is how many messages a server has on their way at most, and with it
// how many extra copies one kill can cause; see outbox.Options.Concurrency.
const senders = 32

// TestKillLosesNothing kills a server with SIGKILL at random moments while
// clients invite guests and a program sends mail to the sink, and starts it
// again on what is on disk. What was answered must be there at the end.
func TestKillLosesNothing(t *testing.T) {
	w := &wreck{
		T: t, dir: filepath.Join(t.TempDir(), "data"),
		wanted: int(crashNumber(t, "CRASH_INVITATIONS", 200)), kills: int(crashNumber(t, "CRASH_KILLS", 10)),
		invited: map[string]string{},
	}
	seed := crashNumber(t, "CRASH_SEED", uint64(time.Now().UnixNano()))
	t.Logf("CRASH_SEED=%d, %d invitations, %d kills", seed, w.wanted, 2*w.kills)
	w.random = rand.New(rand.NewPCG(seed, 0))

	for range w.kills {
		w.dieStarting()
		w.live(w.wanted/w.kills, true)
	}
	w.live(w.wanted-w.answers(), false)
	w.check()
}

// wreck is a data directory and what servers on it promised.
type wreck struct {
	*testing.T
	dir           string
	wanted, kills int // of servers that answered; as many die while they start
	random        *rand.Rand

	next atomic.Int64 // numbers every attempt, so that no address is used twice

	mu      sync.Mutex
	invited map[string]string // id of the invitation by invited address, of those answered 201
	mailed  []string          // subjects of mails that the sink answered 250 for
	unsure  int               // requests that got no answer
}

func (w *wreck) answers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.invited)
}

// anyPorts is an environment in which every listener of a server takes a port
// that the system picks.
func anyPorts() []string {
	env := os.Environ()
	for _, name := range []string{"LISTEN", "TLS_LISTEN", "SMTP", "SINK_HTTP", "IMAP", "POP3"} {
		env = append(env, "INVITED_"+name+"=127.0.0.1:0")
	}
	return env
}

// command starts a server on the data directory.
func (w *wreck) command() *exec.Cmd {
	w.Helper()
	_ = os.Remove(filepath.Join(w.dir, credentialFile)) // it names the ports of the last one
	cmd := exec.Command("invited", "serve", "--data", w.dir, "--retry", "fast", "--max-messages", "1000000", "--log-level", "error")
	cmd.Env = anyPorts()
	cmd.Stderr = w.Output()
	require.NoError(w, cmd.Start())
	w.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// pause waits for a random moment no longer than d.
func (w *wreck) pause(d time.Duration) { <-time.After(time.Duration(w.random.Int64N(int64(d)))) }

// dieStarting kills a server while it starts; it may have begun to send what the
// last one left.
func (w *wreck) dieStarting() {
	w.Helper()
	cmd := w.command()
	w.pause(100 * time.Millisecond)
	require.NoError(w, cmd.Process.Kill())
	_ = cmd.Wait() // "signal: killed"
}

// start runs a server and waits until it answers.
func (w *wreck) start() (*exec.Cmd, localCredential) {
	w.Helper()
	cmd := w.command()
	c, err := awaitServer(w.dir, 20*time.Second)
	require.NoError(w, err)
	return cmd, c
}

// live runs one server until it has answered about n invitations. Then it is
// killed a moment later, or drained and stopped once the outbox is empty.
func (w *wreck) live(n int, kill bool) {
	w.Helper()
	cmd, c := w.start()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	goal := w.answers() + n
	if kill && n > 0 {
		goal -= w.random.IntN(n)
	}
	reached := make(chan struct{})
	var once sync.Once
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			w.inviteUntil(ctx, c, func() {
				if w.answers() >= goal {
					once.Do(func() { close(reached) })
				}
			})
		})
	}
	for range 2 {
		clients.Go(func() { w.sendUntil(ctx, c.SMTP) })
	}
	select {
	case <-reached:
	case <-time.After(time.Minute):
		w.Error("the server does not get on")
	}
	if kill {
		w.pause(40 * time.Millisecond)
		require.NoError(w, cmd.Process.Kill())
		_ = cmd.Wait() // "signal: killed"
		cancel()
		clients.Wait()
		return
	}
	cancel()
	clients.Wait()
	w.awaitDelivery(c)
	require.NoError(w, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(w, cmd.Wait(), "it stops in peace")
}

// inviteUntil invites guests, each by an address of its own, until the server
// is gone or ctx ends.
func (w *wreck) inviteUntil(ctx context.Context, c localCredential, answered func()) {
	hc := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer hc.CloseIdleConnections()
	api := &client{base: c.Server, token: c.Token, http: hc}
	e := env{ctx: context.WithoutCancel(ctx), stdout: io.Discard, stderr: io.Discard}
	for ctx.Err() == nil {
		address := fmt.Sprintf("guest%d@fabrikam.example", w.next.Add(1))
		var out struct{ ID string }
		data, status, err := api.send(e, http.MethodPost, "/v1.0/invitations", fields{
			"invitedUserEmailAddress": address, "inviteRedirectUrl": c.Server + "/myapps", "sendInvitationMessage": true,
		})
		if status != 0 && status != http.StatusCreated {
			w.Errorf("%s was answered %d: %v", address, status, err)
			return
		}
		if err == nil {
			err = json.Unmarshal(data, &out)
		}
		w.mu.Lock()
		if err != nil {
			w.unsure++
		} else {
			w.invited[address] = out.ID
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
		answered()
	}
}

// sendUntil sends mail to the sink until it is gone or ctx ends.
func (w *wreck) sendUntil(ctx context.Context, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	c, err := smtp.NewClient(conn, "127.0.0.1")
	for ctx.Err() == nil && err == nil {
		subject := fmt.Sprintf("direct-%d", w.next.Add(1))
		if err = sendOne(c, subject); err == nil {
			w.mu.Lock()
			w.mailed = append(w.mailed, subject)
			w.mu.Unlock()
		}
	}
}

// sendOne sends a mail and returns nil after 250 to its end.
func sendOne(c *smtp.Client, subject string) error {
	if err := c.Mail("program@contoso.example"); err != nil {
		return err
	}
	if err := c.Rcpt("tester@contoso.example"); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(body, "From: program@contoso.example\r\nTo: tester@contoso.example\r\nSubject: %s\r\n\r\n%s\r\n", subject, bytes.Repeat([]byte("word "), 400))
	return body.Close()
}

// sinkMessages reads everything the sink has.
func (w *wreck) sinkMessages(c localCredential) []caughtSummary {
	w.Helper()
	sink := &client{base: c.Sink, http: http.DefaultClient}
	var page struct{ Messages []caughtSummary }
	require.NoError(w, sink.call(env{ctx: w.Context()}, http.MethodGet, "/api/v1/messages?limit=0", nil, &page))
	return page.Messages
}

type caughtSummary struct {
	MessageID, Subject string
	To                 []struct{ Address string }
}

// awaitDelivery waits until the sink has a mail to everyone whose invitation
// was answered.
func (w *wreck) awaitDelivery(c localCredential) {
	w.Helper()
	deadline := time.After(time.Minute)
	for {
		missing := w.answers()
		seen := map[string]bool{}
		for _, m := range w.sinkMessages(c) {
			if to := m.To[0].Address; w.invited[to] != "" && !seen[to] {
				seen[to] = true
				missing--
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-deadline:
			require.Zero(w, missing, "accepted invitations were not mailed")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check starts a server once more and compares what is there with what was
// answered.
func (w *wreck) check() {
	cmd, c := w.start()
	copies := map[string]int{}  // by Message-ID
	ids := map[string]string{}  // Message-ID by invited address
	direct := map[string]bool{} // subjects
	for _, m := range w.sinkMessages(c) {
		to := m.To[0].Address
		if to == "tester@contoso.example" {
			direct[m.Subject] = true
			continue
		}
		copies[m.MessageID]++
		if ids[to] == "" {
			ids[to] = m.MessageID
		}
		require.Equal(w, ids[to], m.MessageID, "a copy for %s has another Message-ID", to)
	}
	require.NoError(w, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(w, cmd.Wait())

	for _, subject := range w.mailed {
		require.True(w, direct[subject], "%s was answered 250 and is gone", subject)
	}
	for address := range w.invited {
		require.NotEmpty(w, ids[address], "%s was invited and not mailed", address)
	}
	extra := 0
	for _, n := range copies {
		extra += n - 1
	}
	w.checkStore(copies)
	require.LessOrEqual(w, extra, 2*w.kills*senders)
	w.Logf("%d invitations answered, %d requests unanswered, %d kills: %d mails, %d extra copies; %d direct mails answered 250, all there",
		len(w.invited), w.unsure, 2*w.kills, len(copies), extra, len(w.mailed))
}

// checkStore looks into the database of the stopped server: nothing waits any
// more, and what it says of each mail is true.
func (w *wreck) checkStore(inSink map[string]int) {
	s, err := sqlite.Open(sqlite.Options{Path: filepath.Join(w.dir, "invited.db")})
	require.NoError(w, err)
	defer func() { require.NoError(w, s.Close()) }()
	_, open, err := s.NextMailDue(w.Context())
	require.NoError(w, err)
	require.False(w, open, "a mail is stuck in the queue")
	tenants, err := s.Tenants(w.Context(), "", 9)
	require.NoError(w, err)
	require.Len(w, tenants, 1)
	stored := map[string]bool{}
	after := invite.ID("")
	for {
		page, err := s.ListInvitations(w.Context(), tenants[0].ID, invite.Query{After: after, Limit: 100})
		require.NoError(w, err)
		if len(page) == 0 {
			break
		}
		for _, inv := range page {
			after = inv.ID
			stored[string(inv.ID)] = true
			w.checkInvitation(s, tenants[0].ID, inv, inSink)
		}
	}
	for address, id := range w.invited {
		require.True(w, stored[id], "%s was invited and is not in the database", address)
	}
}

// checkInvitation holds that an invitation, answered or not, is whole.
func (w *wreck) checkInvitation(s *sqlite.Store, t directory.TenantID, inv invite.Invitation, inSink map[string]int) {
	u, err := s.User(w.Context(), t, inv.User)
	require.NoError(w, err)
	require.Equal(w, directory.Pending, u.State)
	deliveries, err := s.Deliveries(w.Context(), t, inv.ID)
	require.NoError(w, err)
	require.Len(w, deliveries, 1)
	require.Equal(w, mail.Delivered, deliveries[0].State)
	require.Positive(w, inSink[deliveries[0].MessageID], "%s is said to be delivered, and is not there", inv.Email)
}
