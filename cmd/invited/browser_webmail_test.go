package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// deliver hands a mail to the sink over SMTP and returns it as it was caught.
func (s *testServer) deliver(t testing.TB, to, raw string) caught {
	t.Helper()
	raw = strings.ReplaceAll(strings.ReplaceAll(raw, "\r\n", "\n"), "\n", "\r\n")
	c, err := smtp.Dial(s.SMTPAddr())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Mail("mallory@hostile.example"))
	require.NoError(t, c.Rcpt(to))
	data, err := c.Data()
	require.NoError(t, err)
	_, err = data.Write([]byte(raw))
	require.NoError(t, err)
	require.NoError(t, data.Close())
	require.NoError(t, c.Quit())
	return s.await(t, to, "")
}

func TestBrowserListsMail(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	p := b.tab("en")
	require.Equal(t, http.StatusOK, p.open(s.SinkURL()))
	require.Contains(t, p.text("main"), s.SMTPAddr(), "the empty list says where to send")
	p.inspect("inbox-empty")

	for i := range 54 {
		address := fmt.Sprintf("guest%d@fabrikam.example", i)
		s.deliver(t, address, "From: Contoso Travel <travel@contoso.example>\nTo: "+address+"\nSubject: Trip "+fmt.Sprint(i)+" is booked\n"+
			"Date: "+time.Now().Format(time.RFC1123Z)+"\nMessage-ID: <"+fmt.Sprint(i)+"@contoso.example>\n\nHave a good trip.\n")
	}
	s.invite(t, "ben@fabrikam.example", fields{"displayName": "Ben", "message": "URGENT!!! Call +1 555 0100 200 now to claim your refund of $499.00 before your account is suspended."})
	junk := s.await(t, "ben@fabrikam.example", "")
	require.Equal(t, "Junk", junk.Folder)

	p.open(s.SinkURL())
	require.EqualValues(t, 50, eval[int64](p, `document.querySelectorAll("a.mail").length`))
	p.inspect("inbox-many")
	p.click(".pager .older")
	require.EqualValues(t, 5, eval[int64](p, `document.querySelectorAll("a.mail").length`))
	require.False(t, eval[bool](p, `!!document.querySelector("[data-live]")`), "an older page does not wait for newer mail")
	p.click("a[rel=prev]")
	require.EqualValues(t, 50, eval[int64](p, `document.querySelectorAll("a.mail").length`))

	p.open(s.SinkURL() + "/?folder=Junk")
	require.EqualValues(t, 1, eval[int64](p, `document.querySelectorAll("a.mail").length`))
	require.NotEmpty(t, p.text(".why"))
	p.inspect("inbox-junk")
	p.click("a.mail")
	p.inspect("mail-brief")
	p.click(".brief-more a")
	require.Contains(t, p.text(".hits"), "PHONE_AND_MONEY_IN_MESSAGE")
	p.inspect("mail-junk")
	p.look(desktop, "forced")
	p.shoot("mail-junk", desktop, "forced")

	require.Equal(t, http.StatusOK, p.open(s.SinkURL()+"/?q="+url.QueryEscape("nothing like this")))
	p.inspect("inbox-nothing-found")
	require.Equal(t, http.StatusBadRequest, p.open(s.SinkURL()+"/?q="+url.QueryEscape("larger:banana")))
	p.inspect("inbox-bad-search")
	require.Equal(t, http.StatusNotFound, p.open(s.SinkURL()+"/mail/000000000000000000000000"))
	p.inspect("mail-missing")
}

// TestBrowserShowsNewMail holds that an open list tells of mail as it arrives.
func TestBrowserShowsNewMail(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	p := b.tab("en")
	p.open(s.SinkURL())
	mail := s.deliver(t, "ana@fabrikam.example", "From: a@contoso.example\nTo: ana@fabrikam.example\nSubject: Arrived\n\nx\n")
	p.do(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS("#mail-"+mail.ID)))
	})
	require.Contains(t, p.text("main"), "Arrived")
}

// TestBrowserOpensLinksOfTheMail presses the button inside the frame that shows
// the mail: a tab of its own opens, and what it shows is not sandboxed.
func TestBrowserOpensLinksOfTheMail(t *testing.T) {
	b, s := startBrowser(t), startServer(t)
	s.invite(t, "ana@fabrikam.example", nil)
	mail := s.await(t, "ana@fabrikam.example", "")
	p := b.tab("en")
	p.open(s.SinkURL() + "/mail/" + mail.ID)
	for range 60 {
		p.press(kb.Tab)
		if eval[string](p, `document.activeElement.tagName`) == "IFRAME" {
			break
		}
	}
	opened := chromedp.WaitNewTarget(p.ctx, func(i *target.Info) bool { return strings.Contains(i.URL, "/redeem") })
	p.press(kb.Enter)
	select {
	case id := <-opened:
		ctx, stop := chromedp.NewContext(p.ctx, chromedp.WithTargetID(id))
		t.Cleanup(stop)
		require.NoError(t, chromedp.Do(ctx))
		fresh := &tab{t: t, ctx: ctx, axe: b.axe}
		fresh.do(func(ctx context.Context) error {
			return chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS("#accept")))
		})
		fresh.click("#accept")
		require.Equal(t, "My Apps", fresh.heading())
	case <-t.Context().Done():
		t.Fatal("no tab was opened")
	}
}

// linger lets a span of time pass in which something must not happen. Mail
// runs no scripts, so the page's own timers cannot tell the time.
func linger(d time.Duration) { <-time.After(d) }

// trap accepts connections meant for hostile.example and counts them.
func trap(t testing.TB) (flag chromedp.ExecAllocatorOption, count *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	count = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			_ = c.Close()
		}
	}()
	return chromedp.Flag("host-resolver-rules", "MAP hostile.example "+l.Addr().String()), count
}

// TestBrowserHostileMail shows every mail of the corpus in the web mail. None
// may reach another machine, open a dialog, or touch the page around it.
func TestBrowserHostileMail(t *testing.T) {
	flag, reached := trap(t)
	b, s := startBrowser(t, flag), startServer(t)
	control := b.tab("en")
	_, err := chromedp.RunResponse(control.ctx, chromedp.Navigate("http://hostile.example/control"))
	require.Error(t, err)
	require.Positive(t, reached.Load(), "the trap sees what the browser sends to hostile.example")
	reached.Store(0)

	corpus, err := filepath.Glob("testdata/hostile/*.eml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(corpus), 14)
	p := b.tab("en")
	var mu sync.Mutex
	var dialogs []string
	require.NoError(t, chromedp.Listen(p.ctx, func(ev any) {
		d, ok := ev.(*page.EventJavascriptDialogOpening)
		if !ok {
			return
		}
		mu.Lock()
		dialogs = append(dialogs, d.Message)
		mu.Unlock()
		go func() { // the page hangs until somebody answers
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	}))
	for i, file := range corpus {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			mail := s.deliver(t, fmt.Sprintf("victim%d@fabrikam.example", i), string(raw))
			p.t = t
			paths := []string{"/mail/" + mail.ID, "/view/" + mail.ID + ".html"}
			for _, view := range views {
				paths = append(paths, "/mail/"+mail.ID+"?view="+view)
			}
			for _, path := range paths {
				if strings.HasSuffix(path, ".html") && !bytes.Contains(raw, []byte("Content-Type: text/html; charset")) {
					continue
				}
				require.Equal(t, http.StatusOK, p.open(s.SinkURL()+path))
				if !strings.Contains(path, "?") {
					linger(150 * time.Millisecond)
				}
				require.Equal(t, path, p.path(), "the page stays")
				if strings.HasPrefix(path, "/mail/") {
					require.Equal(t, mail.Subject+" · Mail sink", eval[string](p, `document.title`))
					if !strings.Contains(path, "?") {
						p.shoot("hostile-"+filepath.Base(file), desktop, "light")
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			require.Empty(t, dialogs)
			require.Zero(t, reached.Load(), "something was sent to hostile.example")
		})
	}
	p.t = t
	for _, path := range []string{"/", "/?folder=Junk", "/?q=" + url.QueryEscape("<script>alert(1)</script>"), "/?to=" + url.QueryEscape(`"><img src=x onerror=alert(1)>`), "/mailboxes"} {
		require.Equal(t, http.StatusOK, p.open(s.SinkURL()+path))
	}
	p.open(s.SinkURL())
	raw, err := os.ReadFile(corpus[len(corpus)-1])
	require.NoError(t, err)
	late := s.deliver(t, "late@fabrikam.example", string(raw)) // shown by the script, not by the server
	p.do(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS("#mail-"+late.ID)))
	})
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, dialogs)
	linger(500 * time.Millisecond)
	require.Zero(t, reached.Load(), "something was sent to hostile.example later")
}
