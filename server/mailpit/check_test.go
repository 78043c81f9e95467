package mailpit_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/mailpit"
)

// page receives a mail that has only this HTML.
func (f *face) page(html string) {
	f.receive("Subject: x\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n"+html+"\n", "b@y.example")
}

type checked struct {
	Warnings []struct {
		Slug, Title, Description, Category string
		Results                            []struct{ Name, Family, Platform, Version, Support string }
		NotesByNumber                      map[string]string
		Score                              struct {
			Found                           int
			Supported, Partial, Unsupported float64
		}
	}
	Platforms map[string][]string
	Total     struct {
		Tests, Nodes                    int
		Supported, Partial, Unsupported float64
	}
}

func TestHTMLCheck(t *testing.T) {
	f := open(t)
	tests := []struct {
		name, html string
		slugs      []string
	}{
		{"what everybody knows", `<table><tr><td style="color:red; text-align: left">a</td></tr></table>`, nil},
		{"elements", `<VIDEO src="x"><p>a</p><svg/></video>`, []string{"html-video", "html-svg"}},
		{"attributes and pictures", `<img src="a.WEBP?x=1" srcset="b.png 2x"><img src="data:image/png;base64,">`, []string{"html-srcset-attribute", "html-picture-in-a-data-url", "html-webp-picture"}},
		{"a style attribute", `<p style="Display : FLEX; border-top-left-radius:1px;border-radius:3px; width:50vw">a</p>`, []string{"css-display-flex", "css-border-radius", "css-unit-vw"}},
		{"a word in a value that is no unit", `<p style="font-family:5vwx, vw">a</p>`, nil},
		{"a style sheet", `<style><!-- /* .x{position:fixed} */ @media (min-width:3px){ a:hover{position:fixed} } --></style>`, []string{"html-style", "css-media", "css-hover", "css-position"}},
		{"a linked sheet", `<link rel=StyleSheet href="x.css">`, []string{"html-linked-style-sheet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.page(tt.html)
			var c checked
			f.get("/api/v1/message/latest/html-check", &c)
			var slugs []string
			for _, w := range c.Warnings {
				slugs = append(slugs, w.Slug)
				require.Len(t, w.Results, len(mailpit.Clients))
				require.NotEmpty(t, w.Description)
				require.InDelta(t, 100, w.Score.Supported+w.Score.Partial+w.Score.Unsupported, 0.01)
				require.NotNil(t, w.NotesByNumber)
			}
			require.Equal(t, tt.slugs, slugs)
			require.InDelta(t, 100, c.Total.Supported+c.Total.Partial+c.Total.Unsupported, 0.01)
			require.Equal(t, tt.slugs == nil, c.Total.Supported == 100)
			require.Contains(t, c.Platforms["android"], "Gmail")
		})
	}
	f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	status, body, _ := f.do("GET", "/api/v1/message/latest/html-check", "")
	require.Equal(t, 400, status)
	require.Equal(t, "message does not contain HTML", body)
}

func TestHTMLCheckIsQuickWithABomb(t *testing.T) {
	f := open(t)
	f.page(strings.Repeat("<div style='a:b;c:d'>", 50_000) + "<style>" + strings.Repeat("a{b:c}", 100_000) + strings.Repeat("/*", 100_000))
	begun := time.Now()
	var c checked
	f.get("/api/v1/message/latest/html-check", &c)
	require.Less(t, time.Since(begun), 5*time.Second)
}

// FuzzHTMLCheck checks that no HTML brings the check down or out of its range.
func FuzzHTMLCheck(f *testing.F) {
	for _, seed := range []string{"<p style='a:b", "<style>@media{", "<style>a{b:c}/*", "<img src=data:>", "<<<>>>", "<a style=\"=:=;:;vw:3vw\">", "<style></style><style>}{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, html string) {
		raw, err := json.Marshal(mailpit.JudgeHTML(html))
		require.NoError(t, err)
		var c checked
		require.NoError(t, json.Unmarshal(raw, &c))
		require.InDelta(t, 100, c.Total.Supported+c.Total.Partial+c.Total.Unsupported, 0.01)
		require.GreaterOrEqual(t, c.Total.Supported, -0.01)
	})
}

func TestLinkCheck(t *testing.T) {
	var asked atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case r.Method != http.MethodHead:
			w.WriteHeader(http.StatusTeapot)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/there", http.StatusFound)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://contoso.example/", http.StatusFound)
		case r.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer site.Close()
	page := strings.ReplaceAll(`<a href="SITE/there">a</a><a href="SITE/gone">b</a><img src="SITE/moved"><link rel="stylesheet" href="SITE/away">
		<a href="https://contoso.example/x">c</a><a href="http://169.254.169.254/latest">d</a><a href="mailto:a@x.example">e</a><a href="SITE/there">again</a>`, "SITE", site.URL)
	const off, foreign = "not checked: this server fetches nothing", "not checked: this server asks only servers on this machine"
	tests := []struct {
		name     string
		loopback bool
		query    string
		failed   int
		status   map[string]string // by the end of the URL
	}{
		{"nothing is fetched", false, "?follow=true", 0, map[string]string{"/there": off, "/gone": off, "/moved": off, "/away": off, "/x": off, "/latest": off}},
		{"only this machine is asked", true, "", 1, map[string]string{"/there": "OK", "/gone": "Gone", "/moved": "Found", "/away": "Found", "/x": foreign, "/latest": foreign}},
		{"redirects are followed on this machine", true, "?follow=1", 1, map[string]string{"/there": "OK", "/gone": "Gone", "/moved": "OK", "/away": "Found", "/x": foreign, "/latest": foreign}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked.Store(0)
			f := openWith(t, func(h *mailpit.Handler) { h.LoopbackLinks = tt.loopback })
			f.page(page)
			var out struct {
				Errors int
				Links  []struct {
					URL        string
					StatusCode int
					Status     string
				}
			}
			f.get("/api/v1/message/latest/link-check"+tt.query, &out)
			require.Equal(t, tt.failed, out.Errors)
			got := map[string]string{}
			for _, l := range out.Links {
				got[l.URL[strings.LastIndexByte(l.URL, '/'):]] = l.Status
				require.Equal(t, l.Status == off || l.Status == foreign, l.StatusCode == 0)
			}
			require.Equal(t, tt.status, got)
			require.Equal(t, tt.loopback, asked.Load() > 0)
		})
	}
}

func TestSpamCheck(t *testing.T) {
	f := open(t)
	f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	status, _, _ := f.do("GET", "/api/v1/message/latest/sa-check", "")
	require.Equal(t, 404, status, "there is no route without a filter")

	f = openWith(t, func(h *mailpit.Handler) { h.Spam = filter{errors.New("connection\nrefused")} })
	f.receive(plain("a@x.example", "b@y.example", "one"), "b@y.example")
	_, body, _ := f.do("GET", "/api/v1/message/latest/sa-check", "")
	require.JSONEq(t, `{"IsSpam":false,"Error":"The spam filter did not answer: connection refused","Score":0,"Rules":[]}`, body)
}

func TestChaos(t *testing.T) {
	f := open(t)
	for _, method := range []string{"GET", "PUT"} {
		status, body, _ := f.do(method, "/api/v1/chaos", "{}")
		require.Equal(t, 400, status)
		require.Equal(t, "Chaos is not enabled", body)
	}
	c := &chances{}
	f = openWith(t, func(h *mailpit.Handler) { h.Faults = c })
	_, body, _ := f.do("PUT", "/api/v1/chaos", `{"Sender":{"ErrorCode":421,"Probability":30},"Authentication":{"ErrorCode":454,"Probability":100}}`)
	require.JSONEq(t, `{"Sender":{"ErrorCode":421,"Probability":30},"Recipient":{"ErrorCode":451,"Probability":0},"Authentication":{"ErrorCode":454,"Probability":100}}`, body)
	for _, bad := range []string{`{"Sender":{"ErrorCode":399,"Probability":1}}`, `{"Recipient":{"ErrorCode":600,"Probability":1}}`, `{"Sender":{"ErrorCode":421,"Probability":101}}`, `{"Sender":{"ErrorCode":421,"Probability":0.5}}`, `{"Sendr":{}}`} {
		status, _, _ := f.do("PUT", "/api/v1/chaos", bad)
		require.Equal(t, 400, status, bad)
	}
	code, percent := c.Chance("mail")
	require.Equal(t, []int{421, 30}, []int{code, percent}, "a request that is refused changes nothing")
}
