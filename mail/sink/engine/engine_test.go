package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/engine"
	"invited/mail/sink/rules"
	"invited/mail/sink/scenario"
)

const mail = "From: a@contoso.example\r\nTo: jane@fabrikam.example\r\nSubject: Hello\r\n\r\nHello Jane.\r\n"

// told is a message with all that can be told of it.
func told() engine.Mail {
	return engine.Mail{
		Raw: []byte(mail), IP: "192.0.2.10", Helo: "mail.contoso.example", Hostname: "mail.contoso.example", From: "bounce@contoso.example",
		Rcpt: []string{"jane@fabrikam.example", "ana@fabrikam.example"}, Received: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
	}
}

const rspamdAnswer = `{"is_skipped": false, "score": 6.6, "required_score": 15.0, "action": "add header", "message-id": "x",
	"symbols": {"MISSING_MID": {"name": "MISSING_MID", "score": 2.5, "description": "Message id is\nmissing"},
	"R_SPF_ALLOW": {"score": -0.2, "options": ["+ip4:192.0.2.10"]}, "MIME_GOOD": {"score": -0.2}, "DMARC": {"score": 4.1}}, "urls": []}`

// fakeRspamd answers like rspamd's normal worker.
func fakeRspamd(t *testing.T, answer http.HandlerFunc) *engine.Rspamd {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	r, err := engine.NewRspamd(srv.URL, 500*time.Millisecond)
	require.NoError(t, err)
	return r
}

func TestRspamdIsToldTheEnvelope(t *testing.T) {
	r := fakeRspamd(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/checkv2" || string(body) != mail ||
			r.Header.Get("IP") != "192.0.2.10" || r.Header.Get("Helo") != "mail.contoso.example" || r.Header.Get("Hostname") != "mail.contoso.example" ||
			r.Header.Get("From") != "bounce@contoso.example" || strings.Join(r.Header.Values("Rcpt"), " ") != "jane@fabrikam.example ana@fabrikam.example" {
			http.Error(w, "wrong", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, rspamdAnswer)
	})
	require.Equal(t, rules.Engine{
		Name: "rspamd", Score: 6.6, Limit: 15, Action: "add header", Folder: "Junk",
		Symbols: []rules.Symbol{{Name: "DMARC", Score: 4.1}, {Name: "MISSING_MID", Score: 2.5, Description: "Message id is missing"}, {Name: "MIME_GOOD", Score: -.2}, {Name: "R_SPF_ALLOW", Score: -.2}},
	}, engine.Ask(t.Context(), r, told()))
}

func TestRspamdActions(t *testing.T) {
	for action, folder := range map[string]string{
		"no action": "Inbox", "greylist": "Inbox", "soft reject": "Inbox", "add header": "Junk", "rewrite subject": "Junk", "reject": "Junk", "quarantine": "Junk",
		"something new": "Inbox",
	} {
		got, err := engine.ParseRspamd([]byte(`{"score": 1, "required_score": 15, "action": "` + action + `"}`))
		require.NoError(t, err)
		require.Equal(t, folder, got.Folder, action)
	}
}

const report = "SPAMD/1.1 0 EX_OK\r\nContent-length: 400\r\nSpam: True ; 7.0 / 5.0\r\n\r\n" +
	"Spam detection software, running on the system \"vm\",\nhas identified this incoming email as possible spam.\n\n" +
	"Content analysis details:   (7.0 points, 5.0 required)\n\n" +
	" pts rule name              description\n---- ---------------------- --------------------------------------------------\n" +
	" 2.7 MISSING_DATE           Missing Date: header\n-0.0 NO_RELAYS              Informational: message was not relayed via\n                            SMTP\n" +
	" 4.3 TVD_PH_7               Message looks like a phish\n\n"

// fakeSpamd answers one connection after the other with answer, after it has
// read a request to its end.
func fakeSpamd(t *testing.T, answer func(request string) string) *engine.Spamd {
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
				request, err := io.ReadAll(conn)
				if err == nil {
					_, _ = io.WriteString(conn, answer(string(request)))
				}
			}()
		}
	}()
	s, err := engine.NewSpamd(l.Addr().String(), 500*time.Millisecond)
	require.NoError(t, err)
	return s
}

func TestSpamdReport(t *testing.T) {
	requests := make(chan string, 1)
	s := fakeSpamd(t, func(request string) string { requests <- request; return report })
	require.Equal(t, rules.Engine{
		Name: "spamd", Score: 7, Limit: 5, Action: "spam", Folder: "Junk",
		Symbols: []rules.Symbol{{Name: "TVD_PH_7", Score: 4.3, Description: "Message looks like a phish"}, {Name: "MISSING_DATE", Score: 2.7, Description: "Missing Date: header"}, {Name: "NO_RELAYS", Score: 0, Description: "Informational: message was not relayed via SMTP"}},
	}, normal(engine.Ask(t.Context(), s, told())))
	head, body, ok := strings.Cut(<-requests, "\r\n\r\n")
	require.True(t, ok)
	require.Equal(t, "REPORT SPAMC/1.5\r\nContent-length: "+strconv.Itoa(len(body)), head)
	require.Equal(t, "Return-Path: <bounce@contoso.example>\r\nReceived: from mail.contoso.example (mail.contoso.example [192.0.2.10])\r\n"+
		"\tby sink.invited.localhost with ESMTP; Sat, 21 Nov 2026 10:00:00 +0000\r\n"+mail, body)
}

// normal turns the score -0 into 0.
func normal(e rules.Engine) rules.Engine {
	for i := range e.Symbols {
		e.Symbols[i].Score += 0
	}
	return e
}

func TestSpamdSymbols(t *testing.T) {
	for name, end := range map[string]string{"with a line end": "\r\n", "without": ""} {
		t.Run(name, func(t *testing.T) {
			s := fakeSpamd(t, func(request string) string {
				if !strings.HasPrefix(request, "SYMBOLS SPAMC/1.5\r\n") || !strings.HasSuffix(request, "\r\n\r\n"+mail) {
					return "SPAMD/1.0 76 Bad header line\r\n\r\n"
				}
				return "SPAMD/1.1 0 EX_OK\r\nContent-length: 20\r\nSpam: False ; -1.0 / 5.0\r\n\r\nALL_TRUSTED,NO_RELAYS" + end
			})
			s.Names = true
			got := engine.Ask(t.Context(), s, engine.Mail{Raw: []byte(mail)})
			require.Equal(t, rules.Engine{Name: "spamd", Score: -1, Limit: 5, Action: "ham", Folder: "Inbox", Symbols: []rules.Symbol{{Name: "ALL_TRUSTED"}, {Name: "NO_RELAYS"}}}, got)
		})
	}
}

func TestFailuresAreOpinions(t *testing.T) {
	refused := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return l.Addr().String()
	}
	tests := []struct {
		name   string
		engine func(t *testing.T) engine.Engine
		want   string
	}{
		{"rspamd hangs", func(t *testing.T) engine.Engine {
			return fakeRspamd(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() })
		}, "unavailable: no answer in time"},
		{"rspamd is not there", func(t *testing.T) engine.Engine {
			r, err := engine.NewRspamd("http://"+refused(t), time.Second)
			require.NoError(t, err)
			return r
		}, "unavailable: it cannot be reached"},
		{"rspamd is somebody else", func(t *testing.T) engine.Engine {
			return fakeRspamd(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
		}, "the answer cannot be understood"},
		{"rspamd sends us elsewhere", func(t *testing.T) engine.Engine {
			return fakeRspamd(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) })
		}, "unavailable: rspamd answered 302"},
		{"spamd hangs", func(t *testing.T) engine.Engine {
			return fakeSpamd(t, func(string) string { <-t.Context().Done(); return "" })
		}, "unavailable: no answer in time"},
		{"spamd is not there", func(t *testing.T) engine.Engine {
			s, err := engine.NewSpamd(refused(t), time.Second)
			require.NoError(t, err)
			return s
		}, "unavailable: it cannot be reached"},
		{"spamd is busy", func(t *testing.T) engine.Engine {
			return fakeSpamd(t, func(string) string { return "SPAMD/1.1 75 EX_TEMPFAIL\r\n\r\n" })
		}, "unavailable: spamd answered 75 EX_TEMPFAIL"},
		{"spamd hangs up", func(t *testing.T) engine.Engine { return fakeSpamd(t, func(string) string { return "" }) }, "the answer cannot be understood"},
		{"spamd has no score", func(t *testing.T) engine.Engine {
			return fakeSpamd(t, func(string) string { return "SPAMD/1.1 0 EX_OK\r\n\r\n" })
		}, "the answer cannot be understood"},
		{"spamd never ends", func(t *testing.T) engine.Engine {
			return fakeSpamd(t, func(string) string { return report + strings.Repeat("x", 2<<20) })
		}, "the answer cannot be understood"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := engine.Ask(t.Context(), tt.engine(t), told())
			require.Contains(t, got.Error, tt.want)
			require.Empty(t, got.Folder)
			require.NotEmpty(t, got.Name)
			require.NotContains(t, got.Error, "127.0.0.1")
		})
	}
}

func TestASecondTryHelps(t *testing.T) {
	var asked atomic.Int64
	r := fakeRspamd(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, rspamdAnswer)
	})
	require.Empty(t, engine.Ask(t.Context(), r, told()).Error)
	require.EqualValues(t, 2, asked.Load())
}

func TestLargeMailIsNotShown(t *testing.T) {
	var asked atomic.Int64
	r := fakeRspamd(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	require.Contains(t, engine.Ask(t.Context(), r, engine.Mail{Raw: make([]byte, 9<<20)}).Error, "larger than 8 MiB")
	require.Zero(t, asked.Load())
}

func TestEnvelopeCannotBreakOut(t *testing.T) {
	requests := make(chan string, 2)
	s := fakeSpamd(t, func(request string) string { requests <- request; return report })
	m := told()
	m.Helo, m.From = "a\r\nX-Spam: no", "b\r\n\r\nbody"
	require.Empty(t, engine.Ask(t.Context(), s, m).Error)
	require.NotContains(t, <-requests, "\nX-Spam")
	r := fakeRspamd(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, rspamdAnswer) })
	require.Empty(t, engine.Ask(t.Context(), r, m).Error)
}

func TestAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:11333", "ftp://127.0.0.1", "http://", "http://user:secret@127.0.0.1", "http://h/?x=1"} {
		_, err := engine.NewRspamd(bad, 0)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "secret")
	}
	for _, bad := range []string{"", "127.0.0.1", ":783", "127.0.0.1:"} {
		_, err := engine.NewSpamd(bad, 0)
		require.Error(t, err, bad)
	}
}

// TestCaptureDoesNotWait runs a sink with one filter that answers and one that
// hangs.
func TestCaptureDoesNotWait(t *testing.T) {
	release := make(chan struct{})
	hangs := fakeRspamd(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	answers := fakeSpamd(t, func(string) string { return report })
	s, err := sink.Open(sink.Options{})
	require.NoError(t, err)
	events, end := s.Subscribe()
	defer end()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	asked := make(chan struct{})
	go func() {
		done <- (&engine.Runner{Sink: announced{s, asked}, Engines: []engine.Engine{hangs, answers}}).Run(ctx)
	}()
	<-asked // it follows the sink
	id, err := s.Receive(t.Context(), sink.Envelope{From: "a@b.example", To: []string{"jane@fabrikam.example"}}, []byte(mail))
	require.NoError(t, err)
	require.NoError(t, s.Indexed(t.Context(), id), "listed while a filter hangs")

	opinions := map[string]rules.Engine{}
	for len(opinions) < 2 {
		select {
		case e := <-events:
			if e.Type == sink.Update {
				for _, o := range e.Message.Recipients[0].Verdict.Engines {
					opinions[o.Name] = o
				}
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no opinions: %v", opinions)
		}
	}
	require.Equal(t, "Junk", opinions["spamd"].Folder)
	require.Contains(t, opinions["rspamd"].Error, "unavailable")
	c, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, sink.Inbox, c.Recipients[0].Folder)
	stop()
	require.NoError(t, <-done)
	require.NoError(t, s.Close())
}

// announced tells when somebody follows the sink.
type announced struct {
	*sink.Sink
	asked chan struct{}
}

func (a announced) Subscribe() (<-chan sink.Event, func()) {
	events, end := a.Sink.Subscribe()
	close(a.asked)
	return events, end
}

func TestRunnerEndsWithTheSink(t *testing.T) {
	s, err := sink.Open(sink.Options{})
	require.NoError(t, err)
	done, asked := make(chan error, 1), make(chan struct{})
	go func() { done <- (&engine.Runner{Sink: announced{s, asked}}).Run(t.Context()) }()
	<-asked
	require.NoError(t, s.Close())
	require.NoError(t, <-done)
}

func TestDescribe(t *testing.T) {
	zone, err := scenario.ParseZone("192.0.2.10 PTR mail.contoso.example\nmail.contoso.example A 192.0.2.10")
	require.NoError(t, err)
	j := sink.Judge{Scenario: &scenario.Scenario{ClientIP: netip.MustParseAddr("192.0.2.10"), Helo: "mail.contoso.example", Zone: zone}}
	e := sink.Envelope{From: "bounce@contoso.example", To: []string{"jane@fabrikam.example", "ana@fabrikam.example"}, Helo: "localhost", Remote: "127.0.0.1:4711", Received: told().Received}
	require.Equal(t, told(), engine.Describe(j, e, []byte(mail)))
	require.Equal(t, "127.0.0.1", engine.Describe(sink.Judge{}, e, []byte(mail)).IP)
}

// TestRealSpamd is optional: SpamAssassin is large, and no promise of ours
// hangs on it. It is not required by CI_REQUIRE_ALL.
func TestRealSpamd(t *testing.T) {
	spamd, err := exec.LookPath("spamd")
	if err != nil {
		t.Log("spamd is not installed (Debian: spamd); its protocol is tested against a fake")
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), spamd, "-L", "--nouser-config", "-x", "-i", "127.0.0.1", "-p", port, "-m", "1", "-u", "nobody", "-s", "stderr")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), "server started") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	for _, names := range []bool{false, true} {
		s, err := engine.NewSpamd(addr, 20*time.Second)
		require.NoError(t, err)
		s.Names = names
		got := engine.Ask(t.Context(), s, told())
		require.Empty(t, got.Error)
		require.Contains(t, fmt.Sprint(got.Symbols), "MISSING_DATE")
		require.Positive(t, got.Limit)
	}
}

func FuzzParseSpamd(f *testing.F) {
	f.Add([]byte(report))
	f.Add([]byte("SPAMD/1.1 0 EX_OK\r\nSpam: False ; -1.0 / 5.0\r\n\r\nA,B"))
	f.Add([]byte("SPAMD/1.0 76 Bad header line: (EOF)\r\n"))
	f.Add([]byte("SPAMD/1.1 0 EX_OK\r\nSpam: yes;NaN/5\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := engine.ParseSpamd(data); err == nil {
			sound(t, e)
		}
	})
}

func FuzzParseRspamd(f *testing.F) {
	f.Add([]byte(rspamdAnswer))
	f.Add([]byte(`{"score": 1e308, "symbols": {"\u0000": {}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := engine.ParseRspamd(data); err == nil {
			sound(t, e)
		}
	})
}

// sound checks what verdicts rely on.
func sound(t *testing.T, e rules.Engine) {
	require.Contains(t, []string{"Inbox", "Junk"}, e.Folder)
	require.LessOrEqual(t, len(e.Symbols), 1000)
	require.False(t, e.Score != e.Score, "NaN is no JSON")
	for _, s := range e.Symbols {
		require.False(t, strings.ContainsAny(s.Name+s.Description, "\r\n"))
		require.LessOrEqual(t, len(s.Description), 210)
	}
}
