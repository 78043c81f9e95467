package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/jordan-wright/email"
	"github.com/stretchr/testify/require"
	gomail "github.com/wneessen/go-mail"
)

// What every sender delivers.
const (
	senderSubject = "Einladung für Zoë ✓"
	senderText    = "Grüße aus Köln.\r\n.\r\n.. and dots\r\n"
)

// senderFile is an attachment of every byte there is.
var senderFile = func() []byte {
	b := make([]byte, 0, 256*40)
	for range 40 {
		for i := range 256 {
			b = append(b, byte(i))
		}
	}
	return b
}()

// rawMail is the mail of senders that take one as it is.
var rawMail = func() []byte {
	file := bytes.Join(slices.Collect(slices.Chunk([]byte(base64.StdEncoding.EncodeToString(senderFile)), 76)), []byte("\r\n"))
	return []byte("From: Zoë <a@contoso.example>\r\nTo: c@d.example\r\nSubject: " + mime.QEncoding.Encode("utf-8", senderSubject) +
		"\r\nDate: Sat, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <raw@contoso.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
		senderText + "\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=bytes.bin\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + string(file) + "\r\n--b--\r\n")
}()

// mailProgram is a program or library that sends one mail to an address.
type mailProgram struct {
	name string
	need string // program; empty for a library
	raw  bool   // it sends rawMail as it is: bytes in are bytes out
	send func(t *testing.T, s *testServer, to string)
}

func mailPrograms() []mailProgram {
	return []mailProgram{
		{name: "net/smtp", raw: true, send: func(t *testing.T, s *testServer, to string) {
			require.NoError(t, smtp.SendMail(s.SMTPAddr(), nil, "a@contoso.example", []string{to}, rawMail))
		}},
		{name: "go-smtp", raw: true, send: func(t *testing.T, s *testServer, to string) {
			c, err := gosmtp.Dial(s.SMTPAddr())
			require.NoError(t, err)
			require.NoError(t, c.SendMail("a@contoso.example", []string{to}, bytes.NewReader(rawMail)))
			require.NoError(t, c.Quit())
		}},
		{name: "email.Send", send: func(t *testing.T, s *testServer, to string) {
			require.NoError(t, jordan(t, to).Send(s.SMTPAddr(), nil))
		}},
		{name: "email.Pool", send: func(t *testing.T, s *testServer, to string) {
			pool, err := email.NewPool(s.SMTPAddr(), 1, nil)
			require.NoError(t, err)
			defer pool.Close()
			require.NoError(t, pool.Send(jordan(t, to), 20*time.Second))
		}},
		{name: "go-mail", send: goMail},
		{name: "curl", need: "curl", raw: true, send: func(t *testing.T, s *testServer, to string) {
			command(t, "", "curl", "--silent", "--show-error", "--url", "smtp://"+s.SMTPAddr(), "--mail-from", "a@contoso.example", "--mail-rcpt", to,
				"--upload-file", fileOf(t, "mail.eml", rawMail))
		}},
		{name: "msmtp", need: "msmtp", raw: true, send: func(t *testing.T, s *testServer, to string) {
			host, port, _ := strings.Cut(s.SMTPAddr(), ":")
			// It reads lines as a Unix program does, and writes them with CR LF.
			command(t, strings.ReplaceAll(string(rawMail), "\r\n", "\n"), "msmtp", "--file=/dev/null", "--host="+host, "--port="+port,
				"--from=a@contoso.example", "--undisclosed-recipients=off", "--set-date-header=off", "--set-from-header=off", "--set-msgid-header=off", to)
		}},
		{name: "swaks with a mail of ours", need: "swaks", raw: true, send: func(t *testing.T, s *testServer, to string) {
			command(t, "", "swaks", "--silent", "2", "--server", s.SMTPAddr(), "--helo", "client.example", "--from", "a@contoso.example", "--to", to,
				"--data", "@"+fileOf(t, "mail.eml", bytes.TrimSuffix(rawMail, []byte("\r\n")))) // it adds a line end
		}},
		{name: "swaks with a mail of its own", need: "swaks", send: func(t *testing.T, s *testServer, to string) {
			command(t, "", "swaks", "--silent", "2", "--server", s.SMTPAddr(), "--helo", "client.example", "--from", "a@contoso.example", "--to", to,
				"--auth", "LOGIN", "--auth-user", "jane", "--auth-password", "x",
				"--header", "Subject: "+mime.QEncoding.Encode("utf-8", senderSubject), "--body", "@"+fileOf(t, "text", []byte(senderText)),
				"--attach-type", "application/octet-stream", "--attach-name", "bytes.bin", "--attach", "@"+fileOf(t, "bytes.bin", senderFile))
		}},
		{name: "nodemailer", need: "node", send: nodemailer},
	}
}

// jordan returns the mail as jordan-wright/email makes it.
func jordan(t *testing.T, to string) *email.Email {
	t.Helper()
	e := email.NewEmail()
	e.From, e.To, e.Subject, e.Text = "Zoë <a@contoso.example>", []string{to}, senderSubject, []byte(senderText)
	_, err := e.Attach(bytes.NewReader(senderFile), "bytes.bin", "application/octet-stream")
	require.NoError(t, err)
	return e
}

// goMail sends the mail with wneessen/go-mail, after a login.
func goMail(t *testing.T, s *testServer, to string) {
	m := gomail.NewMsg()
	require.NoError(t, m.FromFormat("Zoë", "a@contoso.example"))
	require.NoError(t, m.To(to))
	m.Subject(senderSubject)
	m.SetBodyString(gomail.TypeTextPlain, senderText)
	require.NoError(t, m.AttachReader("bytes.bin", bytes.NewReader(senderFile), gomail.WithFileContentType(gomail.TypeAppOctetStream)))
	addr := s.smtpListener.Addr().(*net.TCPAddr)
	c, err := gomail.NewClient(addr.IP.String(), gomail.WithPort(addr.Port), gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDSN(),
		gomail.WithSMTPAuth(gomail.SMTPAuthPlainNoEnc), gomail.WithUsername("jane"), gomail.WithPassword("x"))
	require.NoError(t, err)
	require.NoError(t, c.DialAndSendWithContext(t.Context(), m))
}

// nodemailerVersion is installed by npm where the test runs.
const nodemailerVersion = "10.6.0"

const nodemailerScript = `
const [addr, to, subject, text, file] = process.argv.slice(2);
const [host, port] = addr.split(':');
require('nodemailer').createTransport({host, port, auth: {user: 'jane', pass: 'x'}}).sendMail({
  from: 'Zoë <a@contoso.example>', to, subject, text, attachments: [{filename: 'bytes.bin', path: file}],
}).then(() => process.exit(0), e => { console.error(e); process.exit(1); });
`

func nodemailer(t *testing.T, s *testServer, to string) {
	dir := os.Getenv("NODEMAILER_DIR") // a folder in which it is installed
	if dir == "" {
		requireTool(t, "npm")
		dir = t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "nodemailer@"+nodemailerVersion).CombinedOutput()
		if err != nil && os.Getenv("CI_REQUIRE_ALL") == "" {
			t.Skipf("npm cannot install nodemailer: %s", out)
		}
		require.NoError(t, err, "%s", out)
	}
	script := filepath.Join(dir, "send.js")
	require.NoError(t, os.WriteFile(script, []byte(nodemailerScript), 0o600))
	command(t, "", "node", script, s.SMTPAddr(), to, senderSubject, senderText, fileOf(t, "bytes.bin", senderFile))
}

// requireTool skips the test where a program is missing, or fails it where
// nothing may be.
func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI_REQUIRE_ALL") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// command runs a program, which must succeed.
func command(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
}

func fileOf(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// TestSenders lets the programs and libraries that people test with deliver a
// mail with an attachment and a subject that is not ASCII.
func TestSenders(t *testing.T) {
	s := startServer(t)
	for i, tt := range mailPrograms() {
		t.Run(tt.name, func(t *testing.T) {
			if tt.need != "" {
				requireTool(t, tt.need)
			}
			to := fmt.Sprintf("sender%d@fabrikam.example", i)
			tt.send(t, s, to)
			m := s.await(t, to, "")
			require.Equal(t, senderSubject, m.Subject)
			if tt.raw {
				raw := s.get(t, "/api/v1/message/"+m.ID+"/raw")
				require.Equal(t, string(rawMail), string(raw), "bytes in are bytes out")
			}
			var whole struct {
				Text        string
				Attachments []struct{ PartID, FileName string }
			}
			require.NoError(t, json.Unmarshal(s.get(t, "/api/v1/message/"+m.ID), &whole))
			require.Equal(t, strings.TrimSpace(senderText), strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(whole.Text, "\r\n", "\n"), "\n", "\r\n")))
			require.Len(t, whole.Attachments, 1)
			require.Equal(t, "bytes.bin", whole.Attachments[0].FileName)
			require.Equal(t, senderFile, s.get(t, "/api/v1/message/"+m.ID+"/part/"+whole.Attachments[0].PartID))
		})
	}
}

// get returns what the sink's REST interface answers.
func (s *testServer) get(t *testing.T, path string) []byte {
	t.Helper()
	data, _, err := s.sink.send(s.env, http.MethodGet, path, nil)
	require.NoError(t, err)
	return data
}
