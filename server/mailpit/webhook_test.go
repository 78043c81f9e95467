package mailpit_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/mailpit"
)

func TestWebhook(t *testing.T) {
	got := make(chan *http.Request, 10)
	bodies := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r
		bodies <- string(body)
	}))
	defer hook.Close()
	k, err := mailpit.NewWebhook(mailpit.WebhookOptions{URL: hook.URL + "/x?y", AllowLoopback: true, Secret: "s", Label: "sink one", Version: "1.2.3"})
	require.NoError(t, err)
	f := openWith(t, func(h *mailpit.Handler) { h.Webhook = k })
	f.run(t)
	id := f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	r, body := <-got, <-bodies
	require.Equal(t, "POST", r.Method)
	require.Equal(t, "invited/1.2.3", r.UserAgent())
	require.Equal(t, "sink one", r.Header.Get("Mailpit-Label"))
	mac := hmac.New(sha256.New, []byte("s"))
	mac.Write([]byte(body))
	require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), r.Header.Get("Invited-Signature"))
	var summary struct{ ID, Subject string }
	require.NoError(t, json.Unmarshal([]byte(body), &summary))
	require.Equal(t, id, summary.ID)
	require.Equal(t, "one", summary.Subject)
}

func TestWebhookOptions(t *testing.T) {
	tests := []struct {
		name, url string
		loopback  bool
		err       string
	}{
		{"https", "https://hook.contoso.example/x", false, ""},
		{"http on this machine", "http://127.0.0.1:9/x", true, ""},
		{"http on this machine, by name", "http://localhost:9/x", true, ""},
		{"this machine is off by default", "http://[::1]:9/x", false, "AllowLoopback"},
		{"this machine in another spelling", "https://[::ffff:127.0.0.1]/x", false, "AllowLoopback"},
		{"http elsewhere", "http://hook.contoso.example/x", true, "must be https"},
		{"a password", "https://a:b@hook.contoso.example/", false, "URL"},
		{"no host", "https:///x", false, "URL"},
		{"another scheme", "file:///etc/passwd", true, "URL"},
		{"nothing", "", false, "URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mailpit.NewWebhook(mailpit.WebhookOptions{URL: tt.url, AllowLoopback: tt.loopback})
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
		})
	}
}

// answers is a server that gives these statuses in turn; 0 is no connection.
type answers struct {
	mu    sync.Mutex
	codes []int
	at    []time.Duration
	begun time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Since(a.begun))
	code := a.codes[0]
	a.codes = a.codes[1:]
	if code == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func TestWebhookRetries(t *testing.T) {
	tests := []struct {
		name    string
		codes   []int
		at      []time.Duration
		givenUp bool
	}{
		{"first time lucky", []int{204}, []time.Duration{0}, false},
		{"busy, then fine", []int{503, 0, 200}, []time.Duration{0, time.Second, 6 * time.Second}, false},
		{"too many requests are tried again", []int{429, 200}, []time.Duration{0, time.Second}, false},
		{"refused for good", []int{404}, []time.Duration{0}, true},
		{"a redirect is not followed", []int{302}, []time.Duration{0}, true},
		{"given up", []int{500, 500, 500, 500}, []time.Duration{0, time.Second, 6 * time.Second, 31 * time.Second}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{codes: tt.codes, begun: time.Now()}
				k, err := mailpit.NewWebhook(mailpit.WebhookOptions{URL: "https://hook.contoso.example/secret", Transport: a})
				require.NoError(t, err)
				var log bytes.Buffer
				k.Play(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), 1, time.Hour)
				require.Equal(t, tt.at, a.at)
				require.Equal(t, tt.givenUp, strings.Contains(log.String(), "given up"))
				require.NotContains(t, log.String(), "secret")
			})
		})
	}
}

func TestWebhookQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{codes: make([]int, 10_000), begun: time.Now()}
		k, err := mailpit.NewWebhook(mailpit.WebhookOptions{URL: "https://hook.contoso.example/", Transport: a})
		require.NoError(t, err)
		var log bytes.Buffer
		k.Play(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), 1010, 24*time.Hour)
		require.Equal(t, 10, strings.Count(log.String(), "dropped"))
		require.Len(t, a.at, 4*1000)
	})
}

func TestWhereCallsMayGo(t *testing.T) {
	tests := []struct {
		name, address    string
		public, loopback bool
	}{
		{"a public address", "93.184.216.34", true, false},
		{"a public address, version 6", "2606:2800:220:1:248:1893:25c8:1946", true, false},
		{"this machine", "127.9.9.9", false, true},
		{"this machine, version 6", "::1", false, true},
		{"this machine, mapped", "::ffff:127.0.0.1", false, true},
		{"private", "10.0.0.1", false, false},
		{"private, mapped", "::ffff:192.168.0.1", false, false},
		{"link-local: metadata of clouds", "169.254.169.254", false, false},
		{"link-local, version 6", "fe80::1", false, false},
		{"shared by carriers", "100.64.0.1", false, false},
		{"unique local", "fd00::1", false, false},
		{"multicast", "224.0.0.1", false, false},
		{"unspecified", "0.0.0.0", false, false},
		{"unspecified, version 6", "::", false, false},
		{"broadcast", "255.255.255.255", false, false},
		{"translated", "64:ff9b::7f00:1", false, false},
		{"6to4", "2002:7f00:1::", false, false},
		{"Teredo", "2001::1", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			public, loopback := mailpit.Reachable(tt.address)
			require.Equal(t, tt.public, public)
			require.Equal(t, tt.loopback, loopback)
		})
	}
}

func TestNamesThatLeadToThisMachineAreRefused(t *testing.T) {
	hook := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") }))
	defer hook.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(hook.URL, "https://"), ":")
	err := mailpit.CallPublic(t.Context(), "https://127.0.0.1:"+port)
	require.ErrorContains(t, err, "must not be called")
}
