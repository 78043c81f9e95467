package sink_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/dkim"
	"invited/mail/sink"
	"invited/mail/sink/rules"
	"invited/mail/sink/scenario"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden table: three mails as three kinds of sender write them, and the
// good one with one thing changed each, brought to a receiver whose DNS knows
// the sender. The folders are rspamd's for the same mails, except where Exchange
// Online is the stricter one: a brand in the name, a link text that lies, a date
// days away, and a null sender whose domain asks for rejection.

const goodMail = "Date: Thu, 21 Nov 2024 10:00:00 +0000\r\n" +
	"From: Contoso Invitations <invites@contoso.example>\r\n" +
	"Reply-To: Sam <sam@contoso.example>\r\n" +
	"To: Jane Doe <jane@fabrikam.example>\r\n" +
	"Subject: Sam invited you to Contoso\r\n" +
	"Message-ID: <1.2@contoso.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n" +
	"Auto-Submitted: auto-generated\r\n" +
	"List-Unsubscribe: <https://contoso.example/block>\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
	"Sam from Contoso invites you to work with their applications.\r\nReview and accept: https://contoso.example/redeem?x=1\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
	"<p>Sam from Contoso invites you to work with their applications.</p>\r\n<p><a href=\"https://contoso.example/redeem?x=1\">Review and accept</a></p>\r\n" +
	"<p>This mail was sent by Contoso because Sam asked for it.</p>\r\n--b--\r\n"

// plainMail is what a simple library writes: no signature, no footer.
const plainMail = "To: jane@fabrikam.example\r\nFrom: invites@contoso.example\r\nSubject: Invitation\r\n" +
	"Date: Thu, 21 Nov 2024 10:00:00 +0000\r\nMessage-Id: <1.2@vm>\r\nMime-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n" +
	"You are invited to Contoso. Accept at https://contoso.example/redeem?x=1 when you like.\r\n"

// badMail is what a hurried script writes.
func badMail() string {
	html := "<h1>VERIFY YOUR ACCOUNT</h1><img src=x><a href=\"http://198.51.100.7/login\">https://login.microsoftonline.com/</a>"
	return "To: undisclosed-recipients:;\r\nFrom: \"invites@microsoft.com\" <invites@contoso.example>\r\nReply-To: contoso.invites@gmail.com\r\n" +
		"Subject: YOU HAVE BEEN INVITED!!!\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte(html)) + "\r\n"
}

var signer = sync.OnceValues(func() (*dkim.Signer, error) {
	keys, err := dkim.Generate(false)
	if err != nil {
		return nil, err
	}
	return dkim.NewSigner(dkim.Options{Domain: "contoso.example", Selector: "s1", Keys: keys})
})

func sign(t testing.TB, raw string) string {
	t.Helper()
	s, err := signer()
	require.NoError(t, err)
	out, err := s.Sign([]byte(raw))
	require.NoError(t, err)
	return string(out)
}

// contoso is the scenario of the table.
func contoso(t testing.TB) *scenario.Scenario {
	t.Helper()
	s, err := signer()
	require.NoError(t, err)
	records := "contoso.example TXT v=spf1 ip4:192.0.2.10 -all\n_dmarc.contoso.example TXT v=DMARC1; p=reject\n" +
		"192.0.2.10 PTR mail.contoso.example\nmail.contoso.example A 192.0.2.10\n198.51.100.9 PTR other.fabrikam.example\nother.fabrikam.example A 198.51.100.9\n"
	for _, r := range s.Records() {
		records += r.Zone() + "\n"
	}
	zone, err := scenario.ParseZone(records)
	require.NoError(t, err)
	yes := true
	return &scenario.Scenario{Zone: zone, TLS: &yes}
}

type variant struct {
	name string
	raw  string
	from string // reverse-path; "" is bounce@contoso.example, "<>" the null sender
	ip   string // "" is the right one
}

func variants(t testing.TB) []variant {
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(goodMail) }
	signed := sign(t, goodMail)
	const wrong = "198.51.100.9"
	return []variant{
		{name: "bad", raw: badMail(), ip: "203.0.113.5"},
		{name: "plain", raw: plainMail},
		{name: "good", raw: signed},
		{name: "unsigned", raw: goodMail},
		{name: "wrong IP", raw: goodMail, ip: wrong},
		{name: "signed, wrong IP (forwarded)", raw: signed, ip: wrong},
		{name: "signed, body altered, wrong IP", raw: strings.Replace(signed, "Review", "review", 1), ip: wrong},
		{name: "two From fields", raw: "From: Bank <bank@bank.example>\r\n" + goodMail},
		{name: "date three days ahead", raw: edit("Thu, 21 Nov", "Sun, 24 Nov")},
		{name: "null sender", raw: goodMail, from: "<>"},
		{name: "no Message-ID", raw: edit("Message-ID: <1.2@contoso.example>\r\n", "")},
		{name: "subject in capitals", raw: edit("Sam invited you to Contoso", "SAM INVITED YOU TO CONTOSO")},
		{name: "raw 8-bit subject", raw: edit("Sam invited", "Zoë invited")},
		{name: "no To", raw: edit("To: Jane Doe <jane@fabrikam.example>\r\n", "")},
		{name: "link text with another host", raw: edit(">Review and accept<", ">https://login.fabrikam.example/<")},
		{name: "no Date", raw: edit("Date: Thu, 21 Nov 2024 10:00:00 +0000\r\n", "")},
		{name: "empty subject", raw: edit("Subject: Sam invited you to Contoso", "Subject:")},
		{name: "Re: to nothing", raw: edit("Subject: Sam", "Subject: Re: Sam")},
		{name: "link to an IP address", raw: edit("https://contoso.example/redeem", "http://198.51.100.7/redeem")},
		{name: "Message-ID of localhost", raw: edit("<1.2@contoso.example>", "<1.2@localhost>")},
		{name: "a brand in the display name", raw: edit("Contoso Invitations", "Microsoft Invitations on behalf of Contoso")},
		{name: "freemail Reply-To", raw: edit("sam@contoso.example", "contoso.sam@gmail.com")},
		{name: "signed, GTUBE", raw: sign(t, edit("Review and accept:", "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"))},
		{name: "good, as the sink sees it", raw: signed, ip: "127.0.0.1"},
	}
}

func (v variant) judge(t testing.TB) rules.Verdict {
	j := sink.Judge{Scenario: contoso(t)}
	e := sink.Envelope{
		From: "bounce@contoso.example", To: []string{"jane@fabrikam.example"}, Helo: "mail.contoso.example", Remote: "192.0.2.10:4711",
		Received: time.Date(2024, 11, 21, 10, 0, 30, 0, time.UTC),
	}
	switch v.from {
	case "":
	case "<>":
		e.From = ""
	}
	if v.ip != "" {
		e.Remote = v.ip + ":4711"
	}
	if v.name == "bad" {
		e.Helo = "localhost"
	}
	return j.Rules(e, e.To[0], []byte(v.raw))
}

func TestVariants(t *testing.T) {
	var got bytes.Buffer
	for _, v := range variants(t) {
		verdict := v.judge(t)
		require.Equal(t, verdict, v.judge(t), "the same again")
		folder := sink.Inbox
		if verdict.Junk() {
			folder = sink.Junk
		}
		fmt.Fprintf(&got, "%-31s %7.1f  SCL %d  %-5s  %-5s ", v.name, verdict.Score, verdict.SCL, folder, verdict.Category)
		for _, h := range verdict.Hits {
			got.WriteString(" " + h.Rule)
			require.NotEmpty(t, h.Why)
			require.NotEmpty(t, h.Fix)
		}
		got.WriteString("\n")
	}
	path := filepath.Join("testdata", "variants.golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), got.String())
}

func TestMailFromThisMachineHasNothingToProve(t *testing.T) {
	v := sink.JudgeByRules(sink.Envelope{From: "a@b.example", Helo: "localhost", Remote: "127.0.0.1:5"}, "jane@fabrikam.example", []byte(plainMail))
	require.Nil(t, v.Auth)
	for _, h := range v.Hits {
		require.NotContains(t, []string{"AUTH_DKIM_NONE", "ALIGN_NONE", "PTR_MISSING", "HELO_LOCALHOST", "NO_TLS"}, h.Rule)
	}
}

func TestMailMaySayWhereItComesFrom(t *testing.T) {
	j := sink.Judge{Scenario: contoso(t)}
	raw := []byte("X-Sink-Client-IP: 198.51.100.9\r\nX-Sink-Helo: localhost\r\nX-Sink-PTR: -\r\nX-Sink-TLS: no\r\n" + goodMail)
	e := sink.Envelope{From: "bounce@contoso.example", Helo: "mail.contoso.example", Remote: "127.0.0.1:5"}
	v := j.Rules(e, "jane@fabrikam.example", raw)
	require.Equal(t, "fail", v.Auth.SPF)
	require.Equal(t, "localhost", v.Auth.Helo)
	require.Empty(t, v.Auth.PTR)
	require.False(t, v.Auth.TLS)
	require.Equal(t, "198.51.100.9", j.Session(e, raw).ClientIP.String())
	e.Remote = "192.0.2.10:5"
	require.Equal(t, "pass", j.Rules(e, "jane@fabrikam.example", raw).Auth.SPF, "a stranger may not")
}

func TestScenarioListsAndForces(t *testing.T) {
	s := contoso(t)
	s.Allow, s.Force = []string{"*@contoso.example"}, []scenario.Force{{To: "*+later@*", Folder: "Junk", Reason: "for the demonstration"}}
	j := sink.Judge{Scenario: s, Forced: &sink.Forced{}}
	require.NoError(t, j.Forced.Replace([]rules.Force{{To: "first@*", Folder: "Inbox", Reason: "the list comes first"}}))
	e := sink.Envelope{From: "bounce@contoso.example", Helo: "mail.contoso.example", Remote: "198.51.100.9:5"}
	require.Equal(t, -1, j.Rules(e, "jane@fabrikam.example", []byte(goodMail)).SCL)
	require.Equal(t, "for the demonstration", j.Rules(e, "jane+later@fabrikam.example", []byte(goodMail)).Forced)
	require.Equal(t, "the list comes first", j.Rules(e, "first@fabrikam.example", []byte(goodMail)).Forced)
}

func TestAllIsOneVerdictEach(t *testing.T) {
	j := sink.Judge{Scenario: contoso(t)}
	e := sink.Envelope{From: "bounce@contoso.example", Helo: "mail.contoso.example", Remote: "192.0.2.10:5", To: []string{"jane@fabrikam.example", "jane+junk@fabrikam.example"}}
	all := j.All(e, []byte(goodMail), nil)
	require.Len(t, all, 2)
	for i, to := range e.To {
		require.Equal(t, j.Rules(e, to, []byte(goodMail)), all[i])
		require.Equal(t, i == 1, all[i].Junk())
	}
	s, err := sink.Open(sink.Options{JudgeAll: j.All})
	require.NoError(t, err)
	defer s.Close()
	id, err := s.Receive(t.Context(), e, []byte(goodMail))
	require.NoError(t, err)
	c, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, sink.Junk, c.Recipients[1].Folder)
	require.Equal(t, "pass", c.Recipients[0].Verdict.Auth.SPF)
}

// FuzzJudge checks that no mail makes the judge panic or use the network.
func FuzzJudge(f *testing.F) {
	for _, v := range variants(f) {
		f.Add([]byte(v.raw), "bounce@contoso.example", "mail.contoso.example")
	}
	j := sink.Judge{Scenario: contoso(f)}
	f.Fuzz(func(t *testing.T, raw []byte, from, helo string) {
		if len(raw) > 64<<10 || len(from) > 500 || len(helo) > 500 {
			return
		}
		v := j.Rules(sink.Envelope{From: from, Helo: helo, Remote: "192.0.2.10:1"}, "jane@fabrikam.example", raw)
		require.Contains(t, []int{1, 5, 6, 9}, v.SCL)
		for _, field := range v.Fields() {
			require.False(t, strings.ContainsAny(field.Value, "\r\n"), field.Value)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	signed := []byte(sign(b, goodMail))
	e := sink.Envelope{From: "bounce@contoso.example", Helo: "mail.contoso.example", Remote: "192.0.2.10:1"}
	for name, j := range map[string]sink.Judge{"as the sink sees it": {}, "in a scenario": {Scenario: contoso(b)}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				j.Rules(e, "jane@fabrikam.example", signed)
			}
		})
	}
}
