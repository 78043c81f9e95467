package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The benchmarks of this package measure what docs/benchmarks.md reports. Those
// of HTTP run the program as a process of its own, with its data on disk, so
// that its processor time is known apart from that of the clients; both share
// the machine.

// process is a running server as the benchmarks see it.
type process struct {
	localCredential
	*exec.Cmd
}

// startProcess starts a server on dir.
func startProcess(b *testing.B, dir string, flags ...string) process {
	b.Helper()
	cmd := exec.Command("invited", append([]string{
		"serve", "--data", dir, "--max-messages", "1000000", "--log-level", "error",
	}, flags...)...)
	cmd.Env = anyPorts()
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	c, err := awaitServer(dir, 20*time.Second)
	require.NoError(b, err)
	return process{c, cmd}
}

// cpu returns the processor time the process has used; zero where there is no
// /proc.
func (p process) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // clock ticks, 100 a second
}

// settle waits until the process has nothing to do: a new server makes the keys
// that sign identities after it is ready, which costs half a second.
func (p process) settle(b *testing.B) {
	last := p.cpu()
	require.Eventually(b, func() bool {
		now := p.cpu()
		still := now == last
		last = now
		return still
	}, 20*time.Second, 300*time.Millisecond)
}

// rss returns the resident memory of the process in MB; zero where there is no
// /proc.
func (p process) rss() float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	line, _, _ := strings.Cut(rest, " kB")
	kb, _ := strconv.ParseFloat(strings.TrimSpace(line), 64)
	return kb / 1000
}

// wire is one kept HTTP connection of a client that costs little itself.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	head string // Host, Authorization
}

func dialWire(b *testing.B, base, token string) *wire {
	u, err := url.Parse(base)
	require.NoError(b, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	head := "Host: " + u.Host + "\r\nUser-Agent: bench\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	return &wire{conn, bufio.NewReader(conn), head}
}

// do carries out one request. The body of the answer is read to its end.
func (w *wire) do(method, target, more, body string) (*http.Response, []byte, error) {
	_, err := fmt.Fprintf(w.conn, "%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s", method, target, w.head, more, len(body), body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

const asJSON, asForm = "Content-Type: application/json\r\n", "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"

// share calls f for 0 to n-1 from so many clients, each with a connection of
// its own, and returns how long the calls took, in order of length.
func share(b *testing.B, clients, n int, dial func() *wire, f func(w *wire, i int) error) []time.Duration {
	b.Helper()
	var next atomic.Int64
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for range clients {
		w := dial()
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				if err := f(w, i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	all.Wait()
	if b.Failed() {
		b.FailNow()
	}
	slices.Sort(took)
	return took
}

// measure is share with a clock, and reports rate, delays, and what it cost the
// server.
func measure(b *testing.B, p process, clients int, unit string, dial func() *wire, f func(w *wire, i int) error) {
	b.Helper()
	p.settle(b)
	before := p.cpu()
	b.ResetTimer()
	took := share(b, clients, b.N, dial, f)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit+"/s")
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
	if used := p.cpu() - before; used > 0 {
		b.ReportMetric(used.Seconds()*1e3/float64(b.N), "server-CPU-ms/op")
	}
	b.ReportMetric(0, "ns/op")
}

// inviteOne invites one guest and returns the redeem link.
func inviteOne(w *wire, base, address string, send bool) (string, error) {
	resp, data, err := w.do("POST", "/v1.0/invitations", asJSON, fmt.Sprintf(
		`{"invitedUserEmailAddress":%q,"inviteRedirectUrl":%q,"sendInvitationMessage":%t}`, address, base+"/myapps", send))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s: %s", resp.Status, data)
	}
	var out struct{ InviteRedeemURL string }
	err = json.Unmarshal(data, &out)
	return out.InviteRedeemURL, err
}

// BenchmarkInvite invites guests over HTTP; the mail goes to the sink of the
// same process meanwhile, which parses, judges and indexes it, or to a relay
// that forgets it. "mailed" counts until the last one is there.
func BenchmarkInvite(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("to our sink/clients=%d", clients), func(b *testing.B) {
			p := startProcess(b, filepath.Join(b.TempDir(), "data"))
			begin := time.Now()
			inviteMany(b, p, clients)
			awaitTotal(b, p.Sink, b.N)
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "mailed/s")
		})
	}
	b.Run("to smtp-sink/clients=32", func(b *testing.B) {
		inviteMany(b, startProcess(b, filepath.Join(b.TempDir(), "data"), "--relay", "smtp://"+smtpSink(b)), 32)
	})
}

func inviteMany(b *testing.B, p process, clients int) {
	measure(b, p, clients, "invited", func() *wire { return dialWire(b, p.Server, p.Token) }, func(w *wire, i int) error {
		_, err := inviteOne(w, p.Server, fmt.Sprintf("guest%d@fabrikam.example", i), true)
		return err
	})
}

// awaitTotal waits until a sink has n messages.
func awaitTotal(b *testing.B, base string, n int) {
	b.Helper()
	w := dialWire(b, base, "")
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_, data, err := w.do("GET", "/api/v1/messages?limit=1", "", "")
		require.NoError(b, err)
		var page struct{ Total int }
		require.NoError(b, json.Unmarshal(data, &page))
		if page.Total >= n {
			return
		}
		require.True(b, time.Now().Before(deadline), "%d of %d mails came", page.Total, n)
		<-time.After(5 * time.Millisecond)
	}
}

// BenchmarkRedeem lets 32 clients accept invitations, each its own.
func BenchmarkRedeem(b *testing.B) {
	ready := func(b *testing.B) (process, []string) {
		p := startProcess(b, filepath.Join(b.TempDir(), "data"))
		links := make([]string, b.N)
		share(b, 32, b.N, func() *wire { return dialWire(b, p.Server, p.Token) }, func(w *wire, i int) (err error) {
			links[i], err = inviteOne(w, p.Server, fmt.Sprintf("guest%d@fabrikam.example", i), false)
			return err
		})
		return p, links
	}
	const clients = 32
	b.Run("POST redemptions", func(b *testing.B) {
		p, links := ready(b)
		measure(b, p, clients, "redeemed", func() *wire { return dialWire(b, p.Server, "") }, func(w *wire, i int) error {
			u, err := url.Parse(links[i])
			if err != nil {
				return err
			}
			resp, data, err := w.do("POST", "/invited/v1/redemptions", asJSON, fmt.Sprintf(`{"ticket":%q,"accept":true}`, u.Query().Get("ticket")))
			return wanted(resp, data, err, http.StatusOK)
		})
	})
	b.Run("POST of the form", func(b *testing.B) {
		p, links := ready(b)
		forms := make([]form, b.N)
		dial := func() *wire { return dialWire(b, p.Server, "") }
		share(b, clients, b.N, dial, func(w *wire, i int) (err error) {
			forms[i], err = openForm(w, links[i])
			return err
		})
		measure(b, p, clients, "redeemed", dial, func(w *wire, i int) error { return forms[i].accept(w) })
	})
	b.Run("link, page and form", func(b *testing.B) {
		p, links := ready(b)
		measure(b, p, clients, "redeemed", func() *wire { return dialWire(b, p.Server, "") }, func(w *wire, i int) error {
			f, err := openForm(w, links[i])
			if err != nil {
				return err
			}
			return f.accept(w)
		})
	})
}

func wanted(resp *http.Response, data []byte, err error, status int) error {
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	return err
}

// form is a consent page that waits for its button.
type form struct{ cookie, csrf string }

// openForm follows a link to the consent page.
func openForm(w *wire, link string) (form, error) {
	u, err := url.Parse(link)
	if err != nil {
		return form{}, err
	}
	resp, data, err := w.do("GET", u.RequestURI(), "", "")
	if err := wanted(resp, data, err, http.StatusSeeOther); err != nil {
		return form{}, err
	}
	cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	f := form{cookie: "Cookie: " + cookie + "\r\n"}
	resp, data, err = w.do("GET", resp.Header.Get("Location"), f.cookie, "")
	if err := wanted(resp, data, err, http.StatusOK); err != nil {
		return form{}, err
	}
	m := formToken.FindSubmatch(data)
	if m == nil {
		return form{}, fmt.Errorf("no form: %s", data)
	}
	f.csrf = string(m[1])
	return f, nil
}

func (f form) accept(w *wire) error {
	resp, data, err := w.do("POST", "/redeem/accept", f.cookie+asForm, "csrf="+url.QueryEscape(f.csrf))
	return wanted(resp, data, err, http.StatusSeeOther)
}

// BenchmarkStart measures from the start of the process until it answers, and
// what memory it then has.
func BenchmarkStart(b *testing.B) {
	b.Run("empty directory", func(b *testing.B) {
		for range b.N {
			startOnce(b, filepath.Join(b.TempDir(), "data"))
		}
	})
	b.Run("second start", func(b *testing.B) {
		dir := filepath.Join(b.TempDir(), "data")
		startOnce(b, dir)
		b.ResetTimer()
		for range b.N {
			startOnce(b, dir)
		}
	})
}

func startOnce(b *testing.B, dir string) {
	b.Helper()
	begin := time.Now()
	p := startProcess(b, dir)
	took := time.Since(begin)
	b.StopTimer()
	<-time.After(time.Second)
	b.ReportMetric(took.Seconds()*1e3, "ready-ms")
	b.ReportMetric(p.rss(), "idle-RSS-MB")
	require.NoError(b, p.Process.Signal(syscall.SIGTERM))
	require.NoError(b, p.Wait())
	require.NoError(b, os.Remove(filepath.Join(dir, credentialFile))) // or the next start finds the old ports
	b.StartTimer()
}

// requireFile skips a benchmark that needs a program of another package.
func requireFile(b *testing.B, path, from string) {
	b.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		b.Fatalf("%s is missing: install %s", path, from)
	}
	b.Skipf("%s, which comes with %s, is not installed on this %s", path, from, runtime.GOOS)
}
