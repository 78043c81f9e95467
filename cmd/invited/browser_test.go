package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The browser tests need Chromium, and axe-core from npm:
//
//	npm ci --ignore-scripts --prefix testdata/browser
//
// AXE_PATH names another axe.min.js. With INVITED_SCREENSHOTS=DIR every page
// that is inspected is also written to DIR as it looks.

// need skips a test that lacks a real component, or fails it where everything
// must be there.
func need(t testing.TB, found bool, what string) {
	t.Helper()
	if found {
		return
	}
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is missing, and CI_REQUIRE_ALL=1 forbids skipping", what)
	}
	t.Skipf("this test needs %s", what)
}

// chromium returns the path of the browser, or skips.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	need(t, false, "Chromium")
	return ""
}

// axeSource returns the script of axe-core, or skips.
func axeSource(t testing.TB) string {
	t.Helper()
	path := os.Getenv("AXE_PATH")
	if path == "" {
		path = filepath.Join("..", "..", "testdata", "browser", "node_modules", "axe-core", "axe.min.js")
	}
	source, err := os.ReadFile(path)
	need(t, err == nil, "axe-core (npm ci --ignore-scripts --prefix testdata/browser)")
	return string(source)
}

// A browser is one headless Chromium.
type browser struct {
	t   testing.TB
	ctx context.Context
	axe string
}

// startBrowser starts a Chromium for a test. Flags are added to its command line.
func startBrowser(t testing.TB, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	axe := axeSource(t)
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options, chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	var ctx context.Context
	var err error
	for range 3 { // on a machine under load the first start may hang
		allocator, stop := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
		t.Cleanup(stop)
		ctx, stop = chromedp.NewContext(allocator)
		t.Cleanup(stop)
		if err = open(ctx); err == nil {
			break
		}
	}
	require.NoError(t, err, "Chromium does not start")
	return &browser{t: t, ctx: ctx, axe: axe}
}

// open opens the browser or tab of a context, which has to live longer than
// the opening may take.
func open(ctx context.Context) error {
	opened := make(chan error, 1)
	go func() { opened <- chromedp.Do(ctx) }()
	select {
	case err := <-opened:
		return err
	case <-time.After(30 * time.Second):
		return errors.New("it did not open within 30 s")
	}
}

// A tab is one person's window, with cookies of its own.
type tab struct {
	t   testing.TB
	ctx context.Context
	axe string
}

// tab opens the window of somebody who reads a language.
func (b *browser) tab(language string) *tab {
	b.t.Helper()
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.t.Cleanup(stop)
	p := &tab{t: b.t, ctx: ctx, axe: b.axe}
	require.NoError(b.t, open(p.ctx), "the tab does not open")
	call(p, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
	p.look(desktop, "light")
	return p
}

// do runs f with a time limit.
func (p *tab) do(f func(context.Context) error) {
	p.t.Helper()
	if chromedp.FromContext(p.ctx).Target == nil {
		require.NoError(p.t, open(p.ctx))
	}
	ctx, cancel := context.WithTimeout(p.ctx, 15*time.Second)
	defer cancel()
	require.NoError(p.t, f(ctx))
}

// call runs one command of the DevTools protocol.
func call[P, R any](p *tab, cmd cdp.Command[P, R], params P) R {
	p.t.Helper()
	var out R
	p.do(func(ctx context.Context) (err error) {
		out, err = chromedp.Call(ctx, cmd, params)
		return err
	})
	return out
}

// eval evaluates a script in the page; a promise is waited for.
func eval[T any](p *tab, script string) T {
	p.t.Helper()
	var out T
	p.do(func(ctx context.Context) (err error) {
		out, err = chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
		return err
	})
	return out
}

// load carries out steps that lead to another page, and returns its status.
func (p *tab) load(steps ...chromedp.Action[chromedp.Void]) int {
	p.t.Helper()
	var status int
	p.do(func(ctx context.Context) error {
		answer, err := chromedp.RunResponse(ctx, steps...)
		if answer != nil {
			status = int(answer.Status)
		}
		return err
	})
	return status
}

// open goes to an address and returns the status of the page it ends at.
func (p *tab) open(address string) int {
	p.t.Helper()
	return p.load(chromedp.Navigate(address))
}

// click clicks an element that leads to another page, with the mouse.
func (p *tab) click(selector string) int {
	p.t.Helper()
	return p.load(chromedp.Click(chromedp.CSS(selector)))
}

// heading returns the page's first heading.
func (p *tab) heading() string {
	p.t.Helper()
	return strings.TrimSpace(p.text("h1"))
}

// text returns the text of the first element that matches.
func (p *tab) text(selector string) string {
	p.t.Helper()
	var out string
	p.do(func(ctx context.Context) (err error) {
		out, err = chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(selector)))
		return err
	})
	return out
}

// path returns the path and query of the page.
func (p *tab) path() string {
	p.t.Helper()
	var out string
	p.do(func(ctx context.Context) (err error) {
		out, err = chromedp.Run(ctx, chromedp.Location())
		return err
	})
	u, err := url.Parse(out)
	require.NoError(p.t, err)
	return u.RequestURI()
}

// A screen is a size of the window, in CSS pixels. The narrowest is also what
// a desktop shows at 400 % zoom.
type screen struct {
	name          string
	width, height int64
}

var (
	narrow  = screen{"320", 320, 640}
	phone   = screen{"390", 390, 844}
	desktop = screen{"1280", 1280, 800}
)

// look sets the size of the window and the colours its owner prefers: light,
// dark or forced.
func (p *tab) look(s screen, colours string) {
	p.t.Helper()
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1})
	features := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colours}, {Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "forced-colors", Value: "none"},
	}
	if colours == "forced" {
		features[0].Value, features[2].Value = "dark", "active"
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

// inspect holds what every page must keep: nothing wider than the window, at
// any size, and no violation of a rule of axe-core, in light and in dark.
func (p *tab) inspect(name string) {
	p.t.Helper()
	for _, s := range []screen{narrow, phone, desktop} {
		for _, colours := range []string{"light", "dark"} {
			p.look(s, colours)
			if s != phone {
				p.runAxe(name + " at " + s.name + " px, " + colours)
			}
			p.shoot(name, s, colours)
		}
		wide := eval[[]string](p, `[...document.querySelectorAll("body *")].filter(e => {
			const r = e.getBoundingClientRect(), c = getComputedStyle(e);
			return c.display !== "none" && r.right > document.documentElement.clientWidth + .5 && !e.closest(".visually-hidden, .scroll, iframe");
		}).map(e => e.outerHTML.slice(0, 120))`)
		require.Empty(p.t, wide, "%s is wider than a window of %s px", name, s.name)
		require.LessOrEqual(p.t, eval[int64](p, `document.documentElement.scrollWidth`), s.width, "%s scrolls sideways at %s px", name, s.name)
	}
	p.look(desktop, "light")
}

// runAxe reports every violation axe-core finds, with the element.
func (p *tab) runAxe(where string) {
	p.t.Helper()
	type violation struct {
		ID    string   `json:"id"`
		Help  string   `json:"help"`
		Nodes []string `json:"nodes"`
	}
	eval[chromedp.Void](p, `void (window.axe || (() => {`+p.axe+`})())`)
	found := eval[[]violation](p, `axe.run(document, {iframes: false, resultTypes: ["violations"]}).then(r => r.violations.map(
		v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 160) + " " + n.failureSummary)})))`)
	text, err := json.MarshalIndent(found, "", "  ")
	require.NoError(p.t, err)
	require.Empty(p.t, found, "%s: %s", where, text)
}

// shoot writes a picture of the whole page, if somebody asked for pictures.
func (p *tab) shoot(name string, s screen, colours string) {
	p.t.Helper()
	dir := os.Getenv("INVITED_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.do(func(ctx context.Context) error {
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+"-"+s.name+"-"+colours+".png"), picture, 0o600)
	})
}
