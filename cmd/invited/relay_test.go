package main

import (
	"bytes"
	"net/http"
	netmail "net/mail"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/relaytest"
	"invited/server/doctor"
)

// TestMailToPeople runs a server that mails people through a relay, and reads
// what that relay was given.
func TestMailToPeople(t *testing.T) {
	relay := (&relaytest.Relay{Caps: []string{"PIPELINING", "8BITMIME"}}).Start(t)
	s := startServer(t, func(c *config) {
		c.Relay, c.Sender, c.PublicURL = relay.URL(), "Woodgrove Invitations <invite@woodgrove.com>", "https://invite.woodgrove.com"
		c.Brand, c.OwnDomain, c.RelayRecipients, c.RelayDaily = "Woodgrove", true, []string{"fabrikam.com"}, 2
	})
	s.admin.base = "http://" + s.webListener.Addr().String()
	s.invite(t, "ana@fabrikam.com", nil)
	require.Eventually(t, func() bool { _, _, mails := relay.Seen(); return len(mails) == 1 }, 10*time.Second, 5*time.Millisecond)
	_, lines, mails := relay.Seen()
	require.Contains(t, strings.Join(lines, "\n"), "@woodgrove.com>", "the envelope's domain")
	m, err := netmail.ReadMessage(strings.NewReader(mails[0]))
	require.NoError(t, err)
	from, err := netmail.ParseAddress(m.Header.Get("From"))
	require.NoError(t, err)
	require.Equal(t, netmail.Address{Name: "Woodgrove Invitations", Address: "invite@woodgrove.com"}, *from)
	require.True(t, strings.HasSuffix(m.Header.Get("Message-ID"), "@woodgrove.com>"))
	require.Empty(t, m.Header.Get("X-Invitation-Test"))
	require.Empty(t, m.Header.Get("Bcc"))
	require.NotContains(t, strings.ToLower(mails[0]), "microsoft")
	require.Contains(t, mails[0], "https://invite.woodgrove.com/redeem?")
	require.Contains(t, mails[0], "abuse@woodgrove.com")

	refused := func(address string, code int, says string) {
		t.Helper()
		err := s.admin.call(s.env, http.MethodPost, "/invited/v1/invitations", fields{"email": address}, nil)
		var x *exitError
		require.ErrorAs(t, err, &x)
		require.Equal(t, code, x.code)
		require.Contains(t, x.text, says)
	}
	refused("bob@northwind.com", exitDenied, "--relay-recipients")
	s.invite(t, "bob@fabrikam.com", nil)
	refused("cai@fabrikam.com", exitDenied, "No more than 2 mails in 24 hours")
}

// TestTheRelayThatRefusesUs holds that refused credentials cost no mail and are
// seen: in the API, by the doctor, and in the list of mails.
func TestTheRelayThatRefusesUs(t *testing.T) {
	var mended atomic.Bool
	relay := (&relaytest.Relay{Caps: []string{"PIPELINING"}, Answer: func(_ int, verb string) string {
		if verb == "MAIL" && !mended.Load() {
			return "530 5.7.0 Authenticate first"
		}
		return ""
	}}).Start(t)
	s := startServer(t, func(c *config) { c.Relay = relay.URL() })
	s.invite(t, "ana@fabrikam.example", nil)
	alarms := func() []outboxAlarm {
		var page outboxPage
		require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/outbox", nil, &page))
		return page.Alarms
	}
	require.Eventually(t, func() bool { return len(alarms()) == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, relay.Addr, alarms()[0].Relay)
	require.Equal(t, 530, alarms()[0].Code)
	examine := func() (r doctor.Result) {
		for _, r = range doctor.Examine(t.Context(), doctor.Target{Data: t.TempDir(), Server: s.URL(), Token: s.localToken()}) {
			if r.Name == "mail relays" {
				return r
			}
		}
		return r
	}
	require.False(t, examine().OK)
	require.Contains(t, examine().Detail, "530 Authenticate first")

	var stdout, stderr bytes.Buffer
	code := run(env{ctx: t.Context(), stdout: &stdout, stderr: &stderr}, []string{"outbox", "list", "--server", s.URL(), "--token", s.localToken(), "--output", "csv"})
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stderr.String(), "ALARM: "+relay.Addr+" refuses this server")
	require.Contains(t, stdout.String(), "ana@fabrikam.example")

	mended.Store(true)
	require.Eventually(t, func() bool { return len(alarms()) == 0 }, 20*time.Second, 10*time.Millisecond)
	_, _, mails := relay.Seen()
	require.Len(t, mails, 1, "the mail waited and went out")
	require.True(t, examine().OK)
}

// TestSeveralRelays gives a server a relay that is out of order before one that
// works.
func TestSeveralRelays(t *testing.T) {
	closed := (&relaytest.Relay{Answer: func(_ int, verb string) string { return "421 4.3.2 Out of order" }}).Start(t)
	open := (&relaytest.Relay{Caps: []string{"PIPELINING"}}).Start(t)
	s := startServer(t, func(c *config) { c.Relay = closed.URL() + ", " + open.URL() })
	for _, address := range []string{"ana@fabrikam.example", "bob@fabrikam.example", "cai@fabrikam.example"} {
		s.invite(t, address, nil)
	}
	require.Eventually(t, func() bool { _, _, mails := open.Seen(); return len(mails) == 3 }, 10*time.Second, 5*time.Millisecond)
	var page outboxPage
	require.Eventually(t, func() bool {
		require.NoError(t, s.admin.call(s.env, http.MethodGet, "/invited/v1/outbox?state=delivered", nil, &page))
		return len(page.Value) == 3
	}, 10*time.Second, 5*time.Millisecond)
	for _, m := range page.Value {
		require.Equal(t, 1, m.Attempts, "a relay that does not work costs no attempt")
		require.Equal(t, open.Addr, m.Last.Relay)
	}
}
