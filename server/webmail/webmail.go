// Package webmail shows captured mail to people: mailboxes, a list with folders
// and search, a page for each message with everything that is known of it, and
// the rules by which the sink fails on purpose.
//
// Every page is complete as it is served, and every change is a form; the
// scripts under /assets/webmail/ only make it quicker. Foreign HTML is shown
// inside a sandboxed frame, from a route that forbids everything, or as text;
// nothing in a mail is ever fetched. A GET changes nothing.
//
//	GET  /                what is listed: ?to= ?folder= ?q= ?after= ?newer=
//	GET  /mail/{id}       one message: ?view= and what was listed
//	POST /mail            read, unread, inbox, junk, tag, untag, delete, release
//	GET  /mailboxes       all mailboxes, with a filter
//	GET  /faults, POST    the rules by which SMTP fails
//	GET  /empty, /help
//	POST /theme           light, dark, or what the system says
package webmail

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// Sink is what this face reads and changes. Implemented by *sink.Sink.
type Sink interface {
	List(ctx context.Context, q sink.Query) (sink.Page, error)
	Match(ctx context.Context, q sink.Query) ([]string, error)
	Get(ctx context.Context, id string) (sink.Captured, error)
	Raw(ctx context.Context, id string) ([]byte, error)
	Transcript(ctx context.Context, id string) (string, error)
	Totals(ctx context.Context) (sink.Totals, error)
	FindFolders(ctx context.Context, part, after string, limit int) ([]sink.Mailbox, error)
	SetRead(ctx context.Context, ids []string, read bool) error
	SetTags(ctx context.Context, ids []string, tags []string) error
	SetFolder(ctx context.Context, id, recipient string, f sink.Folder) error
	Delete(ctx context.Context, ids []string) error
	DeleteAll(ctx context.Context) error
}

// Faults are the rules by which SMTP fails. [*faults.Set] is one.
type Faults interface {
	Rules() []faults.Rule
	Replace(list []faults.Rule) error
}

// Handler serves the sink's pages.
type Handler struct {
	Sink Sink             // required
	SMTP string           // where to send mail to, for the empty page
	Now  func() time.Time // required
	Log  *slog.Logger     // required

	Faults  Faults                     // nil: there is no panel
	Support func(html string) *Support // says which clients show it; nil: nobody can say

	// Relay is the name of where released mail goes; empty: nowhere. Release
	// sends a message there; its refusals are shown.
	Relay   string
	Release func(ctx context.Context, id string, to []string) error
}

// Support says how many mail clients show a mail's HTML as it is meant.
type Support struct {
	Supported, Partial, Unsupported float64 // percent
	Clients                         []string
	Features                        []Feature
}

// Feature is something that some mail clients do not show.
type Feature struct {
	Name, Note string
	Found      int
	No, Partly []string // clients
}

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("GET /{$}", h.handle(h.listMail))
	mux.Handle("GET /mail/{id}", h.handle(h.showMail))
	mux.Handle("POST /mail", h.change(h.changeMail))
	mux.Handle("GET /mailboxes", h.handle(h.listBoxes))
	mux.Handle("GET /empty", h.handle(h.askEmpty))
	mux.Handle("GET /help", h.handle(h.showHelp))
	mux.Handle("POST /theme", h.change(h.setTheme))
	mux.Handle("GET /faults", h.handle(h.showFaults))
	mux.Handle("POST /faults", h.change(h.changeFaults))
	mux.Handle("/", h.handle(web.Fallback(mux, "/")))
}

// framePolicy lets our pages show our own frames.
var framePolicy = func() web.CSP {
	p := web.PagePolicy
	p.Frame = []string{"'self'"}
	return p
}()

func (h *Handler) handle(f web.Handler) http.Handler {
	return web.Headers(web.HeaderOptions{Policy: framePolicy})(web.Wrap(h.Log, h.WriteError, f))
}

// maxForm bounds a form, in bytes.
const maxForm = 1 << 20

// change serves a form of ours, and of nobody else.
func (h *Handler) change(f web.Handler) http.Handler {
	ours, err := web.CrossOrigin(h.Log, h.WriteError)
	if err != nil {
		panic("webmail: no trusted origin can be wrong where there is none: " + err.Error())
	}
	return ours(h.handle(func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return &problem.Error{Op: "webmail.change", Kind: problem.Invalid, Reason: problem.BadInput, Detail: "The form could not be read.", Err: err}
		}
		return f(w, r)
	}))
}

// WriteError writes a failure as a page.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	lang := templates.Match(r.Header.Get("Accept-Language"))
	reason := p.Reason
	if reason == problem.NoReason {
		reason = problem.Busy
	}
	page := templates.InboxPage{Webmail: h.webmail(r, templates.ReasonFor(lang, string(reason)).Title), Problem: p.Detail, Missing: true}
	page.Here = "/" // the page that failed is no place to come back to
	if err := h.render(w, r, web.Status(p.Kind), page); err != nil {
		http.Error(w, p.Detail, web.Status(p.Kind))
	}
}

// webmail fills what every page has.
func (h *Handler) webmail(r *http.Request, title string) templates.Webmail {
	p := templates.Webmail{Title: title, Here: r.URL.RequestURI(), Theme: theme(r), Faults: -1}
	if r.Method != http.MethodGet {
		p.Here = "/"
	}
	if h.Faults != nil {
		p.Faults = len(h.Faults.Rules())
	}
	p.Notice = notice(r)
	return p
}

func (h *Handler) render(w http.ResponseWriter, r *http.Request, status int, p templates.Page) error {
	var b strings.Builder
	lang := templates.Match(r.Header.Get("Accept-Language"))
	if err := templates.Render(&b, lang, p); err != nil {
		return &problem.Error{Op: "webmail.render", Kind: problem.Internal, Detail: "The page could not be drawn.", Err: err}
	}
	if _, err := r.Cookie(noticeCookie); err == nil { // it is said once
		http.SetCookie(w, &http.Cookie{Name: noticeCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", lang)
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.Header().Set("X-DNS-Prefetch-Control", "off") // the links of a mail tell nobody that it is read
	w.WriteHeader(status)
	_, err := w.Write([]byte(b.String()))
	return err
}

// text returns a text in the language of the request.
func text(r *http.Request, key string, args ...any) string {
	return templates.Text(templates.Match(r.Header.Get("Accept-Language")), key, args...)
}

// notFound turns a missing message into a refusal; other failures stay.
func notFound(r *http.Request, err error) error {
	if !errors.Is(err, sink.ErrNotFound) {
		return err
	}
	return &problem.Error{Op: "webmail", Kind: problem.NotFound, Reason: problem.Missing, Detail: text(r, "webmail.missing"), Err: err}
}

// showHelp serves GET /help.
func (h *Handler) showHelp(w http.ResponseWriter, r *http.Request) error {
	return h.render(w, r, http.StatusOK, templates.HelpPage{Webmail: h.webmail(r, text(r, "webmail.help"))})
}

// The cookies hold no secret and identify nobody.
const (
	themeCookie  = "invited_theme"
	noticeCookie = "invited_notice"
)

// theme returns the colours that were chosen.
func theme(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return "auto"
}

// setTheme serves POST /theme.
func (h *Handler) setTheme(w http.ResponseWriter, r *http.Request) error {
	const year = 365 * 24 * 60 * 60
	c := &http.Cookie{Name: themeCookie, Value: "auto", Path: "/", MaxAge: year, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if v := r.PostForm.Get("theme"); v == "light" || v == "dark" {
		c.Value = v
	}
	http.SetCookie(w, c)
	return back(w, r)
}

// notice returns what was just done, in words.
func notice(r *http.Request) string {
	c, err := r.Cookie(noticeCookie)
	if err != nil {
		return ""
	}
	done, count, _ := strings.Cut(c.Value, ".")
	n, err := strconv.Atoi(count)
	if !notices[done] || err != nil || n < 0 {
		return ""
	}
	if n == 1 {
		done += ".one"
	}
	return text(r, "webmail.done."+done, "count", n)
}

// notices are the keys of what can be said.
var notices = map[string]bool{
	"read": true, "unread": true, "inbox": true, "junk": true, "tag": true, "untag": true, "delete": true, "release": true, "faults": true,
}

// say has the next page tell that something was done to n messages.
func say(w http.ResponseWriter, done string, n int) {
	http.SetCookie(w, &http.Cookie{
		Name: noticeCookie, Value: done + "." + strconv.Itoa(n), Path: "/", MaxAge: 30, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
