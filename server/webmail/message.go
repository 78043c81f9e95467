package webmail

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/mime"
	"invited/templates"
)

// The views of a message.
const (
	viewMail    = "message"
	viewText    = "text"
	viewHTML    = "html"
	viewHeaders = "headers"
	viewRaw     = "raw"
	viewParts   = "parts"
	viewVerdict = "verdict"
	viewClients = "clients"
	viewFormat  = "format"
	viewSession = "session"
)

// opened is one message with everything a view may need.
type opened struct {
	r      *http.Request
	s      scope
	c      sink.Captured
	raw    []byte
	parsed *mime.Message
}

// showMail serves GET /mail/{id}. A GET changes nothing: the page's script says
// that the message was read.
func (h *Handler) showMail(w http.ResponseWriter, r *http.Request) error {
	o := opened{r: r, s: scopeOf(r.URL.Query())}
	var err error
	if o.c, err = h.Sink.Get(r.Context(), r.PathValue("id")); err != nil {
		return notFound(r, err)
	}
	if o.raw, err = h.Sink.Raw(r.Context(), o.c.ID); err != nil {
		return notFound(r, err)
	}
	page := h.mailPage(o)
	o.parsed, err = mime.Parse(o.raw, mime.Limits{})
	if err != nil && page.ParseError == "" {
		page.ParseError = err.Error()
	}
	fillParsed(&page, o)
	page.View = viewMail
	page.Tabs = h.views(o)
	want := r.URL.Query().Get("view")
	for i := range page.Tabs {
		if page.Tabs[i].Key == want {
			page.View = want
		}
	}
	for i := range page.Tabs {
		page.Tabs[i].Current = page.Tabs[i].Key == page.View
	}
	if err := h.fillView(&page, o); err != nil {
		return notFound(r, err)
	}
	if err := h.fillNeighbours(r.Context(), &page, o); err != nil {
		return err
	}
	return h.render(w, r, http.StatusOK, page)
}

// views lists what there is to see of a message.
func (h *Handler) views(o opened) []templates.Tab {
	var tabs []templates.Tab
	add := func(key string, count int) {
		url := o.s.url("/mail/"+o.c.ID, "view", key)
		if key == viewMail {
			url = o.s.url("/mail/" + o.c.ID)
		}
		tabs = append(tabs, templates.Tab{Key: key, Name: text(o.r, "webmail.view."+key), URL: url, Count: count})
	}
	hits := 0
	for _, r := range o.c.Recipients {
		hits = max(hits, len(r.Verdict.Hits))
	}
	add(viewMail, -1)
	if o.parsed.HTML != "" && o.parsed.Text != "" {
		add(viewText, -1)
	}
	if o.parsed.HTML != "" {
		add(viewHTML, -1)
	}
	add(viewHeaders, -1)
	add(viewRaw, -1)
	add(viewParts, -1)
	add(viewVerdict, hits)
	if h.Support != nil && o.parsed.HTML != "" {
		add(viewClients, -1)
	}
	add(viewFormat, len(o.parsed.Problems))
	add(viewSession, -1)
	return tabs
}

// fillView fills what the chosen view shows.
func (h *Handler) fillView(page *templates.MailPage, o opened) error {
	switch page.View {
	case viewMail:
		fillFrame(page, o)
	case viewText:
		page.Text, page.Cut = clip(o.parsed.Text)
	case viewHTML:
		var source string
		source, page.Cut = clip(o.parsed.HTML)
		page.HTML = highlight(source)
	case viewHeaders:
		fillHeaders(page, o)
	case viewRaw:
		page.Raw, page.Cut = clip(string(o.raw))
	case viewParts:
		page.Parts = tree(o.parsed.Parts)
	case viewClients:
		page.Support = support(h.Support(o.parsed.HTML))
	case viewSession:
		said, err := h.Sink.Transcript(o.r.Context(), o.c.ID)
		if err != nil {
			return err
		}
		page.Session = session(said)
	}
	return nil
}

// fillNeighbours finds the messages before and after in what is listed.
func (h *Handler) fillNeighbours(ctx context.Context, page *templates.MailPage, o opened) error {
	query, err := o.s.query()
	if err != nil {
		return nil //nolint:nilerr // there is no list to have neighbours in
	}
	query.Limit = 1
	for url, bound := range map[*string]*string{&page.Older: &query.After, &page.Newer: &query.Newer} {
		query.After, query.Newer = "", ""
		*bound = o.c.ID
		list, err := h.Sink.List(ctx, query)
		if err != nil {
			return err
		}
		if len(list.Messages) == 1 {
			*url = o.s.url("/mail/"+list.Messages[0].ID, "view", o.r.URL.Query().Get("view"))
		}
	}
	return nil
}

// mailPage fills what the index knows.
func (h *Handler) mailPage(o opened) templates.MailPage {
	c := o.c
	p := templates.MailPage{
		Webmail: h.webmail(o.r, c.Subject), ID: c.ID, Back: o.s.url("/"), From: full(c.From), To: people(c.To), Cc: people(c.Cc), ReplyTo: people(c.ReplyTo),
		When: c.Envelope.Received.Local().Format("2006-01-02 15:04:05"), Received: c.Envelope.Received.UTC().Format(time.RFC3339), Size: size(int64(c.Size)),
		EnvelopeFrom: c.Envelope.From, EnvelopeTo: strings.Join(c.Envelope.To, ", "), Helo: c.Envelope.Helo, Remote: c.Envelope.Remote,
		ParseError: c.ParseError, Unread: !c.Read, Tags: c.Tags,
	}
	p.Search, p.ListTo, p.ListFolder = o.s.Search, o.s.To, o.s.Folder
	p.VerdictURL = o.s.url("/mail/"+c.ID, "view", viewVerdict)
	if p.Title == "" {
		p.Title = text(o.r, "webmail.nosubject")
	}
	if h.Release != nil && h.Relay != "" {
		p.ReleaseVia, p.ReleaseTo = h.Relay, p.EnvelopeTo
	}
	for _, r := range c.Recipients {
		if o.s.To != "" && sink.Key(r.Address) == sink.Key(o.s.To) { // whose mailbox it was opened in comes first
			p.Verdicts = append([]templates.MailVerdict{verdict(r)}, p.Verdicts...)
			continue
		}
		p.Verdicts = append(p.Verdicts, verdict(r))
	}
	return p
}

// The line on which scores are drawn is 400 units long, 40 a point.
const (
	perPoint = 40
	lineEnd  = 400
)

// verdict describes and draws the judgement for one recipient.
func verdict(r sink.Recipient) templates.MailVerdict {
	v := templates.MailVerdict{
		Address: r.Address, Folder: string(r.Folder), Junk: r.Folder == sink.Junk, Forced: r.Verdict.Forced, Why: why(r.Verdict),
		Score: fmt.Sprintf("%.1f", r.Verdict.Score), SCL: r.Verdict.SCL, Mark: mark(r.Verdict.Score),
	}
	x := 0
	for _, hit := range r.Verdict.Hits {
		v.Hits = append(v.Hits, templates.MailHit{Rule: hit.Rule, Score: fmt.Sprintf("%+.1f", hit.Score), Why: hit.Why, Fix: hit.Fix, Where: hit.Where})
		if width := min(int(hit.Score*perPoint), lineEnd-x); width > 0 {
			v.Segments = append(v.Segments, templates.Segment{X: x, Width: width, Shade: len(v.Segments) % 2})
			x += width
		}
	}
	return v
}

// mark places a score on the line.
func mark(score float64) int { return int(min(max(score*perPoint, 0), lineEnd)) }

// full prints a mailbox with name and address.
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

// maxShown is how many bytes of a source a page shows.
const maxShown = 512 << 10

// clip shortens a source to what a page can show, and tells whether it did.
func clip(s string) (string, bool) {
	cut := len(s) > maxShown
	if cut {
		s = s[:maxShown]
	}
	return strings.ToValidUTF8(s, "\ufffd"), cut
}
