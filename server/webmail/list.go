package webmail

import (
	"context"
	"net/http"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/rules"
	"invited/templates"
)

// How much a page lists.
const (
	perPage   = 50  // messages
	sideBoxes = 25  // mailboxes beside the list
	pageBoxes = 100 // mailboxes on a page of their own
)

// listMail serves GET /.
func (h *Handler) listMail(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	s, after, newer := scopeOf(q), q.Get("after"), q.Get("newer")
	page := templates.InboxPage{Webmail: h.webmail(r, heading(r, s)), SMTP: h.SMTP}
	page.Search, page.ListTo, page.ListFolder, page.Heading = s.Search, s.To, s.Folder, heading(r, s)
	if err := h.fillFolders(r, &page, s); err != nil {
		return err
	}
	if err := h.fillBoxes(r.Context(), &page, s); err != nil {
		return err
	}
	query, err := s.query()
	if err != nil {
		page.Problem = err.Error()
		return h.render(w, r, http.StatusBadRequest, page)
	}
	query.After, query.Newer, query.Limit = after, newer, perPage
	if newer != "" {
		query.Limit++ // one more tells whether the top is reached
	}
	list, err := h.Sink.List(r.Context(), query)
	switch n := len(list.Messages); {
	case err != nil || newer == "":
	case n > perPage:
		list.Messages = list.Messages[n-perPage:]
	default: // show the top whole
		newer, query.Newer, query.Limit = "", "", perPage
		list, err = h.Sink.List(r.Context(), query)
	}
	if err != nil {
		return notFound(r, err)
	}
	for _, c := range list.Messages {
		page.Messages = append(page.Messages, h.line(c, s))
	}
	page.Live = after == "" && newer == "" // older pages do not change when mail arrives
	if len(list.Messages) > 0 {
		page.Newest = list.Messages[0].ID
		page.Empty = s.url("/empty")
		if !page.Live {
			page.Previous = s.url("/", "newer", page.Newest)
		}
	}
	if list.Next != "" {
		page.Next = s.url("/", "after", list.Next)
	}
	return h.render(w, r, http.StatusOK, page)
}

// heading says what is listed.
func heading(r *http.Request, s scope) string {
	var what string
	switch {
	case s.Search == unread:
		what = text(r, "webmail.unread.folder")
	case s.Search != "":
		what = text(r, "webmail.found", "search", s.Search)
	case s.Folder == string(sink.Inbox):
		what = text(r, "webmail.inbox")
	case s.Folder == string(sink.Junk):
		what = text(r, "webmail.junk")
	default:
		what = text(r, "webmail.all")
	}
	if s.To != "" {
		return text(r, "webmail.heading.to", "what", what, "address", s.To)
	}
	return what
}

// unread is the search behind the folder of that name.
const unread = "is:unread"

// fillFolders counts the folders, of one mailbox or of all. The counts are
// kept by the sink, not counted.
func (h *Handler) fillFolders(r *http.Request, page *templates.InboxPage, s scope) error {
	totals, err := h.Sink.Totals(r.Context())
	if err != nil {
		return err
	}
	page.Badge = totals.Unread
	if s.To != "" {
		totals = sink.Totals{}
		for folder, n := range map[sink.Folder]*int{"": &totals.Messages, sink.Inbox: &totals.Inbox, sink.Junk: &totals.Junk} {
			list, err := h.Sink.List(r.Context(), sink.Query{Recipient: s.To, Folder: folder, Limit: 1})
			if err != nil {
				return err
			}
			if *n = list.Total; folder == "" {
				totals.Unread = list.Unread
			}
		}
	}
	in := scope{To: s.To}
	tab := func(key, name string, folder sink.Folder, search string, count int) {
		at := in
		at.Folder, at.Search = string(folder), search
		page.Tabs = append(page.Tabs, templates.Tab{Key: key, Name: text(r, name), URL: at.url("/"), Count: count, Current: s == at})
	}
	tab("all", "webmail.all", "", "", totals.Messages)
	tab("inbox", "webmail.inbox", sink.Inbox, "", totals.Inbox)
	tab("junk", "webmail.junk", sink.Junk, "", totals.Junk)
	tab("unread", "webmail.unread.folder", "", unread, totals.Unread)
	return nil
}

// fillBoxes lists the first mailboxes, and the one that is open.
func (h *Handler) fillBoxes(ctx context.Context, page *templates.InboxPage, s scope) error {
	found, err := h.Sink.FindFolders(ctx, "", "", sideBoxes+1)
	if err != nil {
		return err
	}
	if len(found) > sideBoxes {
		found, page.AllBoxes = found[:sideBoxes], "/mailboxes"
	}
	page.Boxes = boxes(found, s.To)
	for _, b := range page.Boxes {
		if b.Current {
			return nil
		}
	}
	if s.To != "" {
		page.Boxes = append([]templates.Box{{Address: s.To, URL: scope{To: s.To}.url("/"), Inbox: page.Tabs[1].Count, Junk: page.Tabs[2].Count, Unread: page.Tabs[3].Count, Current: true}}, page.Boxes...)
	}
	return nil
}

func boxes(found []sink.Mailbox, current string) []templates.Box {
	out := make([]templates.Box, len(found))
	for i, b := range found {
		out[i] = templates.Box{
			Address: b.Address, URL: scope{To: b.Address}.url("/"), Inbox: b.Inbox, Junk: b.Junk, Unread: b.Unread,
			Current: current != "" && sink.Key(b.Address) == sink.Key(current),
		}
	}
	return out
}

// listBoxes serves GET /mailboxes?filter=&after=.
func (h *Handler) listBoxes(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	filter := strings.TrimSpace(q.Get("filter"))
	page := templates.BoxesPage{Webmail: h.webmail(r, text(r, "webmail.boxes")), Filter: filter}
	found, err := h.Sink.FindFolders(r.Context(), filter, q.Get("after"), pageBoxes+1)
	if err != nil {
		return err
	}
	if len(found) > pageBoxes {
		found = found[:pageBoxes]
		page.Next = scope{}.url("/mailboxes", "filter", filter, "after", found[pageBoxes-1].Address)
	}
	page.Boxes = boxes(found, "")
	return h.render(w, r, http.StatusOK, page)
}

// askEmpty serves GET /empty.
func (h *Handler) askEmpty(w http.ResponseWriter, r *http.Request) error {
	s := scopeOf(r.URL.Query())
	page := templates.EmptyPage{Webmail: h.webmail(r, text(r, "webmail.empty.title")), What: heading(r, s), Back: s.url("/")}
	page.Search, page.ListTo, page.ListFolder = s.Search, s.To, s.Folder
	return h.render(w, r, http.StatusOK, page)
}

// line shortens one message for the list.
func (h *Handler) line(c sink.Captured, s scope) templates.InboxLine {
	l := templates.InboxLine{
		ID: c.ID, URL: s.url("/mail/" + c.ID), From: person(c.From), To: recipients(c), Subject: c.Subject, Snippet: c.Snippet, Read: c.Read,
		When: h.when(c.Envelope.Received), Received: c.Envelope.Received.UTC().Format(time.RFC3339), Attachments: c.Attachments, Tags: c.Tags,
	}
	if l.From == "" {
		l.From = c.Envelope.From
	}
	for _, r := range c.Recipients {
		if r.Folder != sink.Junk || s.To != "" && sink.Key(r.Address) != sink.Key(s.To) {
			continue
		}
		l.Junk, l.Why = true, why(r.Verdict)
		break
	}
	return l
}

// why says in one sentence what filed a message in Junk.
func why(v rules.Verdict) string {
	var top rules.Hit
	for _, h := range v.Hits {
		if h.Score > top.Score {
			top = h
		}
	}
	return top.Why
}

// recipients names the first of them, and how many there are.
func recipients(c sink.Captured) string {
	const named = 3
	if len(c.Envelope.To) > named {
		return strings.Join(c.Envelope.To[:named], ", ") + ", …"
	}
	return strings.Join(c.Envelope.To, ", ")
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
