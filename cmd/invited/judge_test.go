package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/dkim"
	"invited/mail/sink/rules"
)

// fakeSpamd is a spam filter that calls everything spam. It returns its
// address.
func fakeSpamd(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
				_, _ = io.WriteString(conn, "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 7.0 / 5.0\r\n\r\n---- ----- \n 7.0 INVITED_TEST  A test\n")
			}()
		}
	}()
	return l.Addr().String()
}

// judged are the verdicts of a captured message.
type judged struct {
	Recipients []struct {
		Folder  string
		Verdict rules.Verdict
		Headers map[string]string
	}
}

func TestSignedInvitationIsJudgedInAScenario(t *testing.T) {
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "dkim.pem")
	keys, err := dkim.Generate(true)
	require.NoError(t, err)
	require.NoError(t, keys.Save(keyFile))
	flags := dkimFlags{Key: keyFile, Selector: "s1"}
	signer, err := flags.newSigner("Contoso <invites@contoso.example>")
	require.NoError(t, err)
	zone := "contoso.example TXT v=spf1 ip4:192.0.2.10 -all\n_dmarc.contoso.example TXT v=DMARC1; p=reject; adkim=s\n"
	for _, r := range signer.Records() {
		zone += r.Zone() + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "contoso.zone"), []byte(zone), 0o600))
	scenarioFile := filepath.Join(dir, "scenario.json")
	// A forwarder brings it: only the signature can vouch for the mail.
	require.NoError(t, os.WriteFile(scenarioFile, []byte(`{"clientIP": "198.51.100.9", "helo": "mx.fabrikam.example", "ptr": "mx.fabrikam.example", "tls": true, "zone": "contoso.zone"}`), 0o600))

	s := startServer(t, func(c *config) {
		c.Sender, c.dkimFlags, c.Scenario, c.Spamd = "Contoso <invites@contoso.example>", flags, scenarioFile, fakeSpamd(t)
	})
	s.invite(t, "ana@fabrikam.example", nil)
	var waited struct{ ID string }
	require.NoError(t, s.sink.call(s.env, http.MethodGet, "/api/v1/wait?to=ana@fabrikam.example&timeout=20s", nil, &waited))

	var v judged
	require.NoError(t, s.sink.call(s.env, http.MethodGet, "/api/v1/message/"+waited.ID+"/verdict", nil, &v))
	require.Len(t, v.Recipients, 1)
	auth := v.Recipients[0].Verdict.Auth
	require.NotNil(t, auth)
	require.Equal(t, "fail pass pass", auth.SPF+" "+auth.DKIM+" "+auth.DMARC, "%+v", auth)
	require.Len(t, auth.Signatures, 2)
	for _, sig := range auth.Signatures {
		require.Equal(t, "pass", sig.Result, sig.Problem)
	}
	require.Equal(t, "Inbox", v.Recipients[0].Folder)
	require.Contains(t, v.Recipients[0].Headers["Authentication-Results"], "compauth=pass")

	require.Eventually(t, func() bool {
		require.NoError(t, s.sink.call(s.env, http.MethodGet, "/api/v1/message/"+waited.ID+"/verdict", nil, &v))
		return len(v.Recipients[0].Verdict.Engines) == 1
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, "Junk", v.Recipients[0].Verdict.Engines[0].Folder)
	require.Equal(t, "Inbox", v.Recipients[0].Folder, "an opinion moves nothing")

	var check struct {
		IsSpam bool
		Error  string
		Score  float64
		Rules  []struct{ Name string }
	}
	require.NoError(t, s.sink.call(s.env, http.MethodGet, "/api/v1/message/"+waited.ID+"/sa-check", nil, &check))
	require.True(t, check.IsSpam, check.Error)
	require.Equal(t, "INVITED_TEST", check.Rules[0].Name)
}

func TestJudgeFlagsAreRefusedInOneLine(t *testing.T) {
	for flag, f := range map[string]judgeFlags{
		"--scenario": {Scenario: filepath.Join(t.TempDir(), "none.json")}, "--rspamd": {Rspamd: "127.0.0.1:11333"}, "--spamd": {Spamd: "127.0.0.1"},
	} {
		_, err := f.judging(nil)
		require.ErrorContains(t, err, flag)
	}
}
