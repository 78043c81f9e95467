package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
)

// stopWhenReady is the standard output of a server that is stopped once it says
// that it is ready.
type stopWhenReady struct {
	mu   sync.Mutex
	text bytes.Buffer
	stop context.CancelFunc
}

func (w *stopWhenReady) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if strings.Contains(w.text.String(), "is ready") {
			w.stop()
		}
	}()
	return w.text.Write(b)
}

// TestStartUp starts servers with every kind of relay, and sees which start.
func TestStartUp(t *testing.T) {
	const (
		far   = "--relay=smtps://jane:hunter2@mail.woodgrove.com"
		near  = "--relay=smtp://127.0.0.1:2525"
		from  = "--sender=Woodgrove Invitations <invite@woodgrove.com>"
		brand = "--brand=Woodgrove"
		own   = "--i-own-this-domain"
		url   = "--public-url=https://invite.woodgrove.com"
	)
	tests := []struct {
		name string
		args []string
		code int
		says string // on standard error; empty: the server starts
	}{
		{name: "nothing said: the built-in sink"},
		{name: "a relay on this machine is a test", args: []string{near}},
		{name: "two of them", args: []string{near + ",smtp://localhost:2526"}},
		{name: "a test with a sender of one's own", args: []string{near, from}},
		{name: "a test with more domains that nobody has", args: []string{near, "--relay-recipients=*.example,fabrikam.test"}},
		{name: "a relay elsewhere with everything it takes", args: []string{far, from, brand, own, url}},
		{name: "the same for one customer", args: []string{far, from, brand, own, url, "--relay-recipients=fabrikam.com,*.fabrikam.com"}},
		{name: "the same for everybody, in clear within a cluster", args: []string{"--relay=smtp://mta.internal.woodgrove.com", from, brand, own, url, "--relay-recipients=any", "--relay-tls=never"}},
		{name: "links under another host that was named", args: []string{far, from, brand, own, "--public-url=https://guests.contoso.com"}},

		{name: "a relay elsewhere without a sender", args: []string{far, brand, own, url}, code: exitConfig, says: "--sender is needed"},
		{name: "without a brand", args: []string{far, from, own, url}, code: exitConfig, says: "--brand is needed"},
		{name: "without a word about the domain", args: []string{far, from, brand, url}, code: exitConfig, says: "in the name of woodgrove.com; if that domain is yours, say so with --i-own-this-domain"},
		{name: "without a way to the links", args: []string{far, from, brand, own}, code: exitConfig, says: "--public-url is needed"},
		{name: "links in clear", args: []string{far, from, brand, own, "--public-url=http://invite.woodgrove.com"}, code: exitConfig, says: "use https://"},
		{name: "links to a number", args: []string{far, from, brand, own, "--public-url=https://192.0.2.1"}, code: exitConfig, says: "not a name that people can check"},
		{name: "links that look like somebody else's", args: []string{far, from, brand, own, "--public-url=https://login.micr0soft-guests.com"}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "a relay on this machine, and one elsewhere", args: []string{near + ",smtp://mail.woodgrove.com"}, code: exitConfig, says: "--sender is needed"},
		{name: "a relay on this machine that mails people", args: []string{near, "--relay-recipients=any"}, code: exitConfig, says: "--sender is needed"},
		{name: "a relay on this machine that mails one domain that exists", args: []string{near, from, "--relay-recipients=*.example,fabrikam.com"}, code: exitConfig, says: "--brand is needed"},
		{name: "Microsoft in the display name", args: []string{far, "--sender=Microsoft Invitations <invite@woodgrove.com>", brand, own, url}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "Microsoft in the domain", args: []string{far, "--sender=invite@microsoft-invites.com", brand, own, url}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "Microsoft in Cyrillic letters", args: []string{far, "--sender=Мiсrоsоft <invite@woodgrove.com>", brand, own, url}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "Microsoft in a domain of other letters", args: []string{far, "--sender=invite@xn--mcrosoft-c2a.com", brand, own, url}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "Microsoft in the brand", args: []string{far, from, "--brand=rnicrosoft 365", own, url}, code: exitConfig, says: `uses the name "microsoft"`},
		{name: "Google even in a test", args: []string{near, "--sender=G00gle <x@contoso.example>"}, code: exitConfig, says: `uses the name "google"`},
		{name: "an address as display name", args: []string{far, `--sender="ceo@fabrikam.com" <invite@woodgrove.com>`, brand, own, url}, code: exitConfig, says: "an address in its display name"},
		{name: "a signature of another domain", args: []string{far, from, brand, own, url, "--dkim-key=dkim.pem", "--dkim-domain=mail.woodgrove.com"}, code: exitConfig, says: "is not woodgrove.com, the domain of --sender"},
		{name: "a token file that is not there", args: []string{"--relay=smtps://jane@mail.woodgrove.com", from, brand, own, url, "--relay-token-file=nothing"}, code: exitConfig, says: "--relay-token-file"},
		{name: "authorities that are not there", args: []string{far, from, brand, own, url, "--relay-ca=nothing.pem"}, code: exitConfig, says: "--relay-ca"},
		{name: "credentials in clear", args: []string{"--relay=smtp://jane:hunter2@127.0.0.1", "--relay-tls=never"}, code: exitUsage, says: "not sent in clear"},
		{name: "a relay that is no URL", args: []string{"--relay=mail.contoso.example"}, code: exitUsage, says: "--relay must be a URL"},
		{name: "a second relay that is no URL", args: []string{near + ",jane:hunter2@mail.woodgrove.com"}, code: exitUsage, says: "number 2 is none"},
		{name: "a sender that is no mailbox", args: []string{near, "--sender=Contoso"}, code: exitUsage, says: "is not a mailbox"},
		{name: "recipients that are no domain", args: []string{near, "--relay-recipients=jane@fabrikam.com"}, code: exitUsage, says: "--relay-recipients"},
		{name: "less than nothing a day", args: []string{near, "--relay-daily=-1"}, code: exitUsage, says: "--relay-daily"},
		{name: "a complaint to nobody", args: []string{far, from, brand, own, url, "--abuse-contact=us"}, code: exitUsage, says: "--abuse-contact"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			stdout, stderr := &stopWhenReady{stop: cancel}, &bytes.Buffer{}
			args := append([]string{
				"serve", "--listen=127.0.0.1:0", "--tls-listen=", "--smtp=127.0.0.1:0", "--sink-http=127.0.0.1:0", "--imap=", "--pop3=",
				"--log-level=error", "--data=" + filepath.Join(t.TempDir(), "data"),
			}, tt.args...)
			code := run(env{ctx: ctx, stdout: stdout, stderr: stderr}, args)
			require.Equal(t, tt.code, code, stderr)
			if tt.says == "" {
				require.Contains(t, stdout.text.String(), "is ready")
				return
			}
			require.Contains(t, stderr.String(), tt.says)
			require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one clear line: %s", stderr)
			require.NotContains(t, stderr.String(), "hunter2")
			require.NotContains(t, stdout.text.String(), "is ready")
		})
	}
}

func TestProtectedNames(t *testing.T) {
	tests := map[string]string{
		"Microsoft": "microsoft", "MICROSOFT CORPORATION": "microsoft", "micro soft": "microsoft", "m-i-c-r-o-s-o-f-t.com": "microsoft",
		"Мicrosoft": "microsoft", "rnicrosoft": "microsoft", "mícrosóft": "microsoft", "micr0s0ft": "microsoft", "microsоft.com": "microsoft", "mi\u200bcrosoft": "microsoft",
		"contoso.onmicrosoft.com": "microsoft", "ΜΙCROSOFT": "microsoft", "paypaI": "paypal", "pаypal": "paypal", "g00gle": "google", "arnazon": "amazon", "Ⓜicrosoft": "microsoft",
		"xn--mcrosoft-c2a.com": "microsoft", "Office 365": "office", "office365.example": "office", "0ffice": "office", "Outl00k": "outlook", "login.live.com": "live",
		"Entra ID": "entra", "Apple": "apple", "Windows Update": "windows",

		"Contoso": "", "Central Bank": "", "Pineapple": "", "Olive & Co": "", "Officer's Club": "", "Backoffice": "", "delivery.example": "", "Woodgrove": "",
		"fabrikam.com": "", "": "", "Metallwerke": "", "Живой": "", "Microscope": "", "Golden Gate": "", "Amazing Pals": "",
	}
	for name, want := range tests {
		require.Equal(t, want, protectedName(name), name)
	}
}

func TestMailThatMayNotLeave(t *testing.T) {
	c := config{Relay: "smtps://mail.woodgrove.com", Sender: "Woodgrove <invite@woodgrove.com>", PublicURL: "https://invite.woodgrove.com"}
	c.Brand, c.OwnDomain, c.RelayRecipients = "Woodgrove", true, []string{"*.fabrikam.com", "contoso.com"}
	people, err := c.plan()
	require.NoError(t, err)
	test, err := config{Relay: "smtp://127.0.0.1"}.plan()
	require.NoError(t, err)
	sink, err := config{}.plan()
	require.NoError(t, err)
	write := func(envelope, to, header string) mail.Message {
		a, err := mail.ParseAddress(to)
		require.NoError(t, err)
		return mail.Message{From: envelope, To: a, Raw: []byte(header + "\r\n\r\nbody\r\n")}
	}
	const good = "From: Woodgrove <invite@woodgrove.com>\r\nSubject: x"
	tests := []struct {
		name string
		plan mailPlan
		mail mail.Message
		says string
	}{
		{"ours", people, write("bounce+1@woodgrove.com", "jane@contoso.com", good), ""},
		{"ours with bounces below our domain", people, write("1@bounce.woodgrove.com", "jane@eu.fabrikam.com", good), ""},
		{"the null sender", people, write("", "jane@contoso.com", good), ""},
		{"a stranger", people, write("bounce@woodgrove.com", "jane@northwind.com", good), "no mail to northwind.com"},
		{"a domain that only ends alike", people, write("bounce@woodgrove.com", "jane@notfabrikam.com", good), "no mail to notfabrikam.com"},
		{"the domain above the pattern", people, write("bounce@woodgrove.com", "jane@fabrikam.com", good), "no mail to fabrikam.com"},
		{"another envelope", people, write("bounce@notwoodgrove.com", "jane@contoso.com", good), "envelope of another domain"},
		{"written for the sink", people, write("bounce@woodgrove.com", "jane@contoso.com", "From: Microsoft Invitations <invites@microsoft.com>"), "in the name of another domain"},
		{"two senders", people, write("bounce@woodgrove.com", "jane@contoso.com", good+"\r\nFrom: x@woodgrove.com"), "in the name of another domain"},
		{"no sender", people, write("bounce@woodgrove.com", "jane@contoso.com", "Subject: x"), "in the name of another domain"},
		{"a test to a domain that nobody has", test, write("invites@microsoft.com", "jane@fabrikam.example", "From: x@microsoft.com"), ""},
		{"a test to a person", test, write("invites@microsoft.com", "jane@fabrikam.com", "From: x@microsoft.com"), "no mail to fabrikam.com"},
		{"anything to the sink", sink, write("invites@microsoft.com", "jane@fabrikam.com", ""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := false
			s := guardedSender{plan: tt.plan, now: time.Now, next: senderFunc(func(mail.Message) mail.Attempt {
				sent = true
				return mail.Attempt{Stage: mail.StageDot, Code: 250}
			})}
			a := s.Send(t.Context(), tt.mail)
			require.Equal(t, tt.says == "", sent)
			require.Equal(t, tt.says == "", a.OK())
			require.Equal(t, tt.says != "", a.Permanent)
			require.Contains(t, a.Text, tt.says)
		})
	}
}

// senderFunc is an outbox.Sender.
type senderFunc func(mail.Message) mail.Attempt

func (f senderFunc) Send(_ context.Context, m mail.Message) mail.Attempt { return f(m) }

// TestMailingPeopleStartsCarefully looks at what a server that mails people was
// built with.
func TestMailingPeopleStartsCarefully(t *testing.T) {
	c := ephemeralConfig(t.TempDir())
	c.Relay, c.Sender, c.PublicURL = "smtps://mail.woodgrove.com", "Woodgrove <invite@woodgrove.com>", "https://invite.woodgrove.com"
	c.Brand, c.OwnDomain, c.RelayDaily = "Woodgrove", true, 100
	a, err := newApp(t.Context(), c, c.log(env{stderr: &bytes.Buffer{}}))
	require.NoError(t, err)
	defer a.release()
	p, err := a.store.Policy(t.Context(), a.seeded.Tenant)
	require.NoError(t, err)
	require.Equal(t, directory.DefaultLimits, p.Limits)
	require.Equal(t, 100, a.mode().MailsPerDay)
	require.False(t, a.mode().Emulator)
	require.True(t, a.mode().Recipients(mail.Address{Local: "jane", Domain: "fabrikam.example"}))
	require.False(t, a.mode().Recipients(mail.Address{Local: "jane", Domain: "fabrikam.com"}), "nobody is mailed until --relay-recipients says who")
	o := letterOptions(c, a.mailPlan, time.Now)
	require.False(t, o.Emulator)
	require.Equal(t, "Woodgrove, abuse@woodgrove.com", o.Brand)
	require.NoError(t, a.mailPlan.checkTenant("Contoso"))
	require.ErrorContains(t, a.mailPlan.checkTenant("Micros0ft"), "microsoft")
	require.NoError(t, mailPlan{toSink: true}.checkTenant("Microsoft"), "nobody is mailed")
}
