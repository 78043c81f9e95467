package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"invited/server"
	"invited/server/webmail"
)

// views are all ways to look at a message.
var views = []string{"text", "html", "headers", "raw", "parts", "verdict", "clients", "format", "session"}

// rich is a mail with something for every view: two bodies, a picture in the
// text, attachments, a code, a disguised link and a field in another charset.
const rich = `From: =?utf-8?q?Contoso_B=C3=BCro?= <accounts@contoso.example>
To: ana@fabrikam.example
Subject: 483920 is your sign-in code
Date: %s
Message-ID: <rich@contoso.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=utf-8

Your sign-in code is 483920.
Or open https://contoso.example/signin?c=1
--a
Content-Type: text/html; charset=utf-8

<!doctype html><style>.c{display:flex}</style><!-- a comment --><h1>Your code</h1><p class=c>483920</p>
<a href="https://hostile.example/x">https://contoso.example/help</a><video></video>
--a--
--m
Content-Type: image/png; name=dot.png
Content-Disposition: attachment; filename=dot.png
Content-Transfer-Encoding: base64

iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
--m
Content-Type: text/csv; charset=utf-8; name=report.csv
Content-Disposition: attachment; filename="a report with quite a long name for a narrow window.csv"

a;b
--m--
`

// eventually waits until a script is true in the page.
func (p *tab) eventually(script, what string) {
	p.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !eval[bool](p, script) {
		require.True(p.t, time.Now().Before(deadline), what)
		linger(30 * time.Millisecond)
	}
}

// goes presses keys that lead to another page and waits until it is there.
func (p *tab) goes(path string, keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.press(key)
	}
	script := fmt.Sprintf(`document.readyState === "complete" && location.pathname + location.search === %q`, path)
	deadline := time.Now().Add(10 * time.Second)
	for !eval[bool](p, script) {
		require.True(p.t, time.Now().Before(deadline), "at %s and not at %s", p.path(), path)
		linger(30 * time.Millisecond)
	}
}

func TestBrowserShowsEveryView(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	mail := s.deliver(t, "ana@fabrikam.example", fmt.Sprintf(rich, time.Now().Format(time.RFC1123Z)))
	p := b.tab("en")
	require.Equal(t, http.StatusOK, p.open(s.SinkURL()+"/mail/"+mail.ID))
	require.Contains(t, p.text(".codes"), "483920")
	require.Contains(t, p.text(".linklist"), "shows another host")
	require.EqualValues(t, 1, eval[int64](p, `document.querySelectorAll(".files img").length`))
	p.tick("#tag")
	p.press("sign-in")
	p.load(chromedp.KeyEvent(kb.Enter))
	require.Contains(t, p.text(".tags .tag"), "sign-in")
	p.inspect("view-message")
	for _, view := range views {
		require.Equal(t, http.StatusOK, p.open(s.SinkURL()+"/mail/"+mail.ID+"?view="+view))
		require.NotContains(t, p.text("main"), "ZgotmplZ")
		p.inspect("view-" + view)
	}
	p.open(s.SinkURL() + "/mail/" + mail.ID + "?width=tablet")
	require.EqualValues(t, 768, eval[int64](p, `document.querySelector("iframe").offsetWidth`))
	eval[chromedp.Void](p, `document.querySelector('[data-width="phone"]').click()`)
	require.EqualValues(t, 375, eval[int64](p, `document.querySelector("iframe").offsetWidth`))

	p.open(s.SinkURL() + "/mail/" + mail.ID + "?view=headers")
	eval[chromedp.Void](p, `(i => { i.value = "message-id"; i.dispatchEvent(new Event("input")); })(document.getElementById("filter"))`)
	require.EqualValues(t, 1, eval[int64](p, `document.querySelectorAll("#fields > div:not([hidden])").length`))
	p.look(desktop, "forced")
	p.shoot("view-headers", desktop, "forced")

	german := b.tab("de")
	german.open(s.SinkURL() + "/mail/" + mail.ID + "?view=verdict")
	german.inspect("view-verdict-de")
}

func TestBrowserPagesAroundTheList(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	for i := range 30 {
		s.deliver(t, fmt.Sprintf("guest%02d@fabrikam.example", i), "From: a@contoso.example\nSubject: x\n\nx\n")
	}
	p := b.tab("en")
	p.open(s.SinkURL() + "/mailboxes?filter=GUEST1")
	require.EqualValues(t, 10, eval[int64](p, `document.querySelectorAll(".boxlist li").length`))
	p.inspect("boxes")
	p.click(".boxlist a")
	require.Equal(t, "/?to=guest10%40fabrikam.example", p.path())
	p.inspect("box")
	p.open(s.SinkURL() + "/empty?to=guest10%40fabrikam.example")
	p.inspect("empty-ask")
	p.click(".danger-solid")
	require.EqualValues(t, 29, eval[int64](p, `+document.querySelector(".f-all .count").textContent`), "only one mailbox is emptied")

	p.open(s.SinkURL() + "/faults")
	p.inspect("faults-none")
	p.click("[value=greylist]")
	p.click("[value=rate]")
	require.Contains(t, p.text(".rules"), "451 greylisted")
	p.inspect("faults-rules")
	p.click(".rules button")
	p.click("[value=clear]")
	require.False(t, eval[bool](p, `!!document.querySelector(".rules")`))
	require.Equal(t, http.StatusOK, p.open(s.SinkURL()+"/help"))
	p.inspect("help-page")
	p.open(s.SinkURL())
	eval[chromedp.Void](p, `document.getElementById("help").showPopover()`)
	p.inspect("help-dialog")
}

// TestBrowserKeyboard reads, marks and deletes mail without a mouse.
func TestBrowserKeyboard(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, s.deliver(t, "ana@fabrikam.example", fmt.Sprintf("From: a@contoso.example\nSubject: Number %d\n\nx\n", i)).ID)
	}
	p := b.tab("en")
	p.open(s.SinkURL())
	p.press("j")
	p.press("j")
	p.goes("/mail/"+ids[1], kb.Enter)
	p.goes("/mail/"+ids[0], "j")
	p.goes("/mail/"+ids[1], "k")
	p.goes("/", "u")
	p.eventually(`document.querySelectorAll(".row:not(.unread)").length === 2`, "opened messages count as read")
	p.goes("/?folder=Junk", "g", "j")
	p.goes("/?folder=Inbox", "g", "i")
	p.goes("/", "g", "a")
	p.press("?")
	require.True(t, eval[bool](p, `document.getElementById("help").matches(":popover-open")`))
	p.press(kb.Escape)
	p.press("/")
	require.Equal(t, "q", eval[string](p, `document.activeElement.id`))
	eval[chromedp.Void](p, `document.getElementById("q").value = ""`) // the DevTools protocol types what a keyboard would not
	p.press("j")
	require.Equal(t, "j", eval[string](p, `document.getElementById("q").value`), "typing is no shortcut")
	p.press(kb.Escape)
	p.press("j")
	p.press("#")
	p.eventually(`document.querySelectorAll(".row").length === 2`, "the message is deleted")
	p.press("j")
	p.press("x")
	require.Contains(t, p.text("#chosen"), "1 chosen")
	p.inspect("inbox-chosen")
	eval[chromedp.Void](p, `document.querySelector("[data-keys] input").click()`)
	p.press("#")
	require.EqualValues(t, 2, eval[int64](p, `document.querySelectorAll(".row").length`), "shortcuts can be switched off")
}

// TestBrowserThemeIsRemembered switches colours, which the next page has from
// its first moment.
func TestBrowserThemeIsRemembered(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	p := b.tab("en")
	p.open(s.SinkURL())
	eval[chromedp.Void](p, `document.querySelector("[data-theme-form] button").click()`)
	eval[chromedp.Void](p, `document.querySelector("[data-theme-form] button").click()`)
	require.Equal(t, "dark", eval[string](p, `document.documentElement.dataset.theme`))
	linger(200 * time.Millisecond)
	p.open(s.SinkURL() + "/faults")
	require.Equal(t, "dark", eval[string](p, `document.documentElement.dataset.theme`))
	require.Equal(t, "rgb(14, 18, 23)", eval[string](p, `getComputedStyle(document.documentElement).backgroundColor`))
	p.runAxe("faults, dark by choice")
}

// TestBrowserWithoutScripts does with forms what scripts make quicker.
func TestBrowserWithoutScripts(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	for i := range 3 {
		s.deliver(t, "ana@fabrikam.example", fmt.Sprintf("From: a@contoso.example\nSubject: Number %d\n\nx\n", i))
	}
	p := b.tab("en")
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.open(s.SinkURL())
	p.tick(".row input")
	p.click(".toolbar [value=delete]")
	require.Contains(t, p.text("#status"), "Message deleted")
	require.Contains(t, p.text(".f-all"), "2")
	p.tick(".row input")
	p.click(".toolbar [value=junk]")
	p.click(".f-junk")
	require.Contains(t, p.text(".mails"), "Number 1")
	p.click("a.mail")
	p.click(".brief form button")
	require.Contains(t, p.text(".brief .tag"), "Inbox")
	p.click("[data-theme-form] button")
	p.open(s.SinkURL() + "/?q=" + url.QueryEscape("subject:number"))
	require.Equal(t, 2, strings.Count(p.text(".mails"), "Number")-strings.Count(p.text(".mails"), "Choose Number"))
}

// tick clicks something that leads nowhere.
func (p *tab) tick(selector string) {
	p.t.Helper()
	p.do(func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector))) })
}

// TestBrowserReleases shows the dialog that hands a mail to a relay. It is
// there only if there is a relay.
func TestBrowserReleases(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	mail := s.deliver(t, "ana@fabrikam.example", fmt.Sprintf(rich, time.Now().Format(time.RFC1123Z)))
	p := b.tab("en")
	p.open(s.SinkURL() + "/mail/" + mail.ID)
	require.False(t, eval[bool](p, `!!document.getElementById("release")`))

	var released []string
	pages := &webmail.Handler{
		Sink: s.app.sink, Now: time.Now, Log: slog.New(slog.DiscardHandler), Relay: "relay.contoso.example:587",
		Release: func(_ context.Context, id string, to []string) error {
			released = append([]string{id}, to...)
			return nil
		},
	}
	h, err := server.Handler(server.Options{Log: pages.Log, NewID: newID, WriteError: pages.WriteError}, pages)
	require.NoError(t, err)
	with := httptest.NewServer(h)
	t.Cleanup(with.Close)
	p.open(with.URL + "/mail/" + mail.ID)
	p.tick("[popovertarget=release]")
	require.Equal(t, "recipients", eval[string](p, `document.activeElement.id`))
	p.inspect("release-dialog")
	p.click("#release .actions button")
	require.Equal(t, []string{mail.ID, "ana@fabrikam.example"}, released)
	require.Contains(t, p.text("#status"), "Released")
}

// TestBrowserFollowsWhatArrives holds that a list grows in place: what was
// chosen stays chosen, with the event socket and, where there is none, by
// asking.
func TestBrowserFollowsWhatArrives(t *testing.T) {
	for name, script := range map[string]string{
		"by the socket": "",
		"by asking":     `window.WebSocket = class { constructor() { setTimeout(() => this.onclose(), 1); } }`,
	} {
		t.Run(name, func(t *testing.T) {
			b, s := startBrowser(t), startServer(t)
			one := s.deliver(t, "ana@fabrikam.example", "From: a@contoso.example\nSubject: One\n\nx\n")
			p := b.tab("en")
			if script != "" {
				call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
			}
			p.open(s.SinkURL() + "/?to=ana%40fabrikam.example")
			p.tick("#row-" + one.ID + " input")
			s.deliver(t, "ben@fabrikam.example", "From: a@contoso.example\nSubject: Not here\n\nx\n")
			two := s.deliver(t, "ana@fabrikam.example", "From: a@contoso.example\nSubject: Two\n\nx\n")
			p.eventually(`!!document.getElementById("row-`+two.ID+`")`, "the list does not grow")
			require.True(t, eval[bool](p, `document.querySelector("#row-`+one.ID+` input").checked`))
			require.EqualValues(t, 2, eval[int64](p, `document.querySelectorAll(".row").length`))
			require.True(t, strings.HasPrefix(eval[string](p, `document.title`), "(3) "), "the title counts what is unread")
			require.Equal(t, "1 chosen", p.text("#chosen"))
		})
	}
}
