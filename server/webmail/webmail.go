// Package webmail shows captured mail to people: a list with folders and
// search, and a page for each message with the reasons for its folder.
//
// Foreign HTML is shown only inside a sandboxed frame, from a route that
// forbids everything; nothing in a mail is ever fetched. The package reads
// from the sink and decides nothing.
package webmail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
	"invited/server/problem"
	"invited/server/web"
	"invited/templates"
)

// Sink is what this face reads from.
type Sink interface {
	List(ctx context.Context, q sink.Query) (sink.Page, error)
	Get(ctx context.Context, id string) (sink.Captured, error)
	Raw(ctx context.Context, id string) ([]byte, error)
	Totals(ctx context.Context) (sink.Totals, error)
}

// Handler serves the sink's pages. Every field is required.
type Handler struct {
	Sink Sink
	SMTP string // where to send mail to, for the empty page
	Now  func() time.Time
	Log  *slog.Logger
}

// perPage is how many messages a page lists.
const perPage = 50

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.Handle("GET /{$}", h.handle(h.listMail))
	mux.Handle("GET /mail/{id}", h.handle(h.showMail))
	mux.Handle("/", h.handle(func(http.ResponseWriter, *http.Request) error {
		return &problem.Error{Op: "webmail", Kind: problem.NotFound, Reason: problem.Missing, Detail: "There is no such page."}
	}))
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

// WriteError writes a failure as a page.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	lang := templates.Match(r.Header.Get("Accept-Language"))
	reason := p.Reason
	if reason == problem.NoReason {
		reason = problem.Busy
	}
	page := templates.InboxPage{
		Webmail: templates.Webmail{Title: templates.ReasonFor(lang, string(reason)).Title}, Problem: p.Detail, Missing: true,
	}
	if err := h.render(w, r, web.Status(p.Kind), page); err != nil {
		http.Error(w, p.Detail, web.Status(p.Kind))
	}
}

func (h *Handler) render(w http.ResponseWriter, r *http.Request, status int, p templates.Page) error {
	var b strings.Builder
	lang := templates.Match(r.Header.Get("Accept-Language"))
	if err := templates.Render(&b, lang, p); err != nil {
		return &problem.Error{Op: "webmail.render", Kind: problem.Internal, Detail: "The page could not be drawn.", Err: err}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", lang)
	w.Header().Set("Vary", "Accept-Language")
	w.Header().Set("X-DNS-Prefetch-Control", "off") // the links of a mail tell nobody that it is read
	w.WriteHeader(status)
	_, err := w.Write([]byte(b.String()))
	return err
}

// listMail serves GET /.
func (h *Handler) listMail(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	search, folder, after, to := q.Get("q"), q.Get("folder"), q.Get("after"), q.Get("to")
	t := func(key string, args ...any) string {
		return templates.Text(templates.Match(r.Header.Get("Accept-Language")), key, args...)
	}
	page := templates.InboxPage{Webmail: templates.Webmail{Title: t("webmail.brand"), Search: search}, Mailbox: to, Folder: folder, SMTP: h.SMTP}
	totals, err := h.Sink.Totals(r.Context())
	if err != nil {
		return err
	}
	page.Tabs = []templates.Tab{
		{Name: t("webmail.all"), URL: "/", Count: totals.Messages, Current: folder == ""},
		{Name: t("webmail.inbox"), URL: "/?folder=Inbox", Count: totals.Inbox, Current: folder == string(sink.Inbox)},
		{Name: t("webmail.junk"), URL: "/?folder=Junk", Count: totals.Junk, Current: folder == string(sink.Junk)},
	}
	query, err := sink.ParseQuery(search)
	if err != nil {
		page.Problem = err.Error()
		return h.render(w, r, http.StatusBadRequest, page)
	}
	query.Recipient, query.Folder, query.After, query.Limit = to, sink.Folder(folder), after, perPage
	list, err := h.Sink.List(r.Context(), query)
	if err != nil {
		return err
	}
	for _, c := range list.Messages {
		page.Messages = append(page.Messages, h.line(c))
	}
	// Older pages do not change when mail arrives.
	page.Live = after == ""
	if len(list.Messages) > 0 {
		page.Newest = list.Messages[0].ID
	}
	if list.Next != "" {
		q.Set("after", list.Next)
		page.Next = "/?" + q.Encode()
	}
	return h.render(w, r, http.StatusOK, page)
}

// line shortens one message for the list.
func (h *Handler) line(c sink.Captured) templates.InboxLine {
	l := templates.InboxLine{
		ID: c.ID, From: person(c.From), To: strings.Join(c.Envelope.To, ", "), Subject: c.Subject, Read: c.Read,
		When: h.when(c.Envelope.Received), Received: c.Envelope.Received.UTC().Format(time.RFC3339), Attachments: c.Attachments,
	}
	if l.From == "" {
		l.From = c.Envelope.From
	}
	for _, r := range c.Recipients {
		if r.Folder != sink.Junk {
			continue
		}
		l.Junk = true
		if top, ok := worst(r.Verdict); ok {
			l.Why = top.Why
		}
		break
	}
	return l
}

// worst returns the hit that weighs most.
func worst(v rules.Verdict) (rules.Hit, bool) {
	var top rules.Hit
	for _, h := range v.Hits {
		if h.Score > top.Score {
			top = h
		}
	}
	return top, top.Rule != ""
}

// person prints a mailbox for people.
func person(p sink.Person) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Address
}

// when prints a moment for people: the time if it is today, else the date.
func (h *Handler) when(t time.Time) string {
	t, now := t.Local(), h.Now().Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02")
}

// showMail serves GET /mail/{id}. A GET changes nothing: the page's script says
// that the message was read.
func (h *Handler) showMail(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	c, err := h.Sink.Get(r.Context(), id)
	if err != nil {
		return notFound(r, err)
	}
	raw, err := h.Sink.Raw(r.Context(), id)
	if err != nil {
		return notFound(r, err)
	}
	page := h.mailPage(c)
	if page.Title == "" {
		page.Title = templates.Text(templates.Match(r.Header.Get("Accept-Language")), "webmail.nosubject")
	}
	if m, err := mime.Parse(raw, mime.Limits{}); m != nil {
		fillParsed(&page, m)
		if err != nil && page.ParseError == "" {
			page.ParseError = err.Error()
		}
	}
	return h.render(w, r, http.StatusOK, page)
}

// notFound turns a missing message into a refusal; other failures stay.
func notFound(r *http.Request, err error) error {
	if !errors.Is(err, sink.ErrNotFound) {
		return err
	}
	lang := templates.Match(r.Header.Get("Accept-Language"))
	return &problem.Error{Op: "webmail.showMail", Kind: problem.NotFound, Reason: problem.Missing, Detail: templates.Text(lang, "webmail.missing"), Err: err}
}

// mailPage fills what the index knows.
func (h *Handler) mailPage(c sink.Captured) templates.MailPage {
	p := templates.MailPage{
		Webmail: templates.Webmail{Title: c.Subject}, ID: c.ID, From: full(c.From), To: people(c.To), Cc: people(c.Cc), ReplyTo: people(c.ReplyTo),
		When: c.Envelope.Received.Local().Format("2006-01-02 15:04:05"), Received: c.Envelope.Received.UTC().Format(time.RFC3339),
		EnvelopeFrom: c.Envelope.From, EnvelopeTo: strings.Join(c.Envelope.To, ", "), Helo: c.Envelope.Helo, Remote: c.Envelope.Remote,
		ParseError: c.ParseError, Unread: !c.Read,
	}
	for _, r := range c.Recipients {
		v := templates.MailVerdict{
			Address: r.Address, Folder: string(r.Folder), Junk: r.Folder == sink.Junk, Forced: r.Verdict.Forced,
			Score: fmt.Sprintf("%.1f", r.Verdict.Score), SCL: r.Verdict.SCL, Mark: mark(r.Verdict.Score),
		}
		for _, hit := range r.Verdict.Hits {
			v.Hits = append(v.Hits, templates.MailHit{Rule: hit.Rule, Score: fmt.Sprintf("%+.1f", hit.Score), Why: hit.Why, Fix: hit.Fix, Where: hit.Where})
		}
		p.Verdicts = append(p.Verdicts, v)
	}
	return p
}

// mark places a score on a line of 400 units, 40 a point.
func mark(score float64) int { return int(min(max(score, 0), 10) * 40) }

// fillParsed fills what only the body knows.
func fillParsed(p *templates.MailPage, m *mime.Message) {
	p.Text, p.HasHTML, p.Problems = m.Text, m.HTML != "", m.Problems
	p.Links = links(m.Links)
	for _, l := range p.Links {
		if l.Web && redeems(l.URL) {
			p.RedeemURL = l.URL
			break
		}
	}
	for _, a := range m.Attachments {
		name := a.FileName
		if name == "" {
			name = url.PathEscape(a.PartID)
		}
		p.Attachments = append(p.Attachments, templates.MailFile{PartID: a.PartID, Name: name, Type: a.ContentType, Size: size(int64(a.Size))})
	}
}

func full(p sink.Person) string {
	if p.Name == "" {
		return p.Address
	}
	return p.Name + " <" + p.Address + ">"
}

func people(list []sink.Person) string {
	var out []string
	for _, p := range list {
		out = append(out, full(p))
	}
	return strings.Join(out, ", ")
}

// size prints a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
	}
}

// links lists each URL once, with the first text it has.
func links(found []mime.Link) []templates.MailLink {
	var out []templates.MailLink
	at := map[string]int{}
	for _, l := range found {
		i, seen := at[l.URL]
		if !seen {
			i = len(out)
			at[l.URL] = i
			u, err := url.Parse(l.URL)
			out = append(out, templates.MailLink{URL: l.URL, Web: err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""})
		}
		if out[i].Text == "" {
			out[i].Text = l.Text
		}
	}
	return out
}

// redeems reports whether a link has the shape of those that redeem an
// invitation.
func redeems(link string) bool {
	u, err := url.Parse(link)
	return err == nil && strings.HasSuffix(u.Path, "/redeem") && u.Query().Get("ticket") != ""
}
