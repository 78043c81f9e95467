package mailpit

import (
	"net/http"
	"net/url"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// listJSON is Mailpit's MessagesSummary.
type listJSON struct {
	Total          int           `json:"total"`
	Unread         int           `json:"unread"`
	Count          int           `json:"count"`
	MessagesCount  int           `json:"messages_count"`
	MessagesUnread int           `json:"messages_unread"`
	Start          int           `json:"start"`
	Tags           []string      `json:"tags"`
	Messages       []summaryJSON `json:"messages"`
}

// listMessages serves GET /api/v1/messages.
func (h *Handler) listMessages(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	q.Del("query") // this address does not search
	return h.answerList(w, r, q)
}

// searchMessages serves GET /api/v1/search.
func (h *Handler) searchMessages(w http.ResponseWriter, r *http.Request) error {
	q, err := required(r)
	if err != nil {
		return err
	}
	return h.answerList(w, r, q)
}

// answerList answers with the messages that q finds.
func (h *Handler) answerList(w http.ResponseWriter, r *http.Request, q url.Values) error {
	const op = "mailpit.answerList"
	query, err := search(q)
	if err != nil {
		return err
	}
	if query.Start, err = number(q, "start", 0); err != nil {
		return err
	}
	if query.Limit, err = number(q, "limit", 50); err != nil {
		return err
	}
	if query.Limit == 0 { // everything, whatever the start
		query.Start, query.Limit = 0, -1
	}
	page, err := h.Sink.List(r.Context(), query)
	if err != nil {
		return classify(op, err)
	}
	totals, err := h.Sink.Totals(r.Context())
	if err != nil {
		return classify(op, err)
	}
	tags, err := h.tagNames(r)
	if err != nil {
		return classify(op, err)
	}
	out := listJSON{
		Total: totals.Messages, Unread: totals.Unread, Count: len(page.Messages),
		MessagesCount: page.Total, MessagesUnread: page.Unread, Start: query.Start,
		Tags: tags, Messages: make([]summaryJSON, 0, len(page.Messages)),
	}
	for _, c := range page.Messages {
		out.Messages = append(out.Messages, summary(c, ""))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// markMessages serves PUT /api/v1/messages.
func (h *Handler) markMessages(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.markMessages"
	var in struct {
		Read   bool
		IDs    []string
		Search string
	}
	found, err := readBody(w, r, &in)
	switch {
	case err != nil:
		return err
	case !found:
		return badBody(op, "The request body is empty; send Read, and IDs or Search.", nil)
	case len(in.IDs) > 0 && in.Search != "":
		return problem.BadField(op, "Search", "IDs and Search exclude each other; send one of them.")
	}
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	mark := func(ids []string) error { return h.Sink.SetRead(r.Context(), ids, in.Read) }
	if len(in.IDs) > 0 {
		err = classify(op, mark(in.IDs))
	} else {
		var query sink.Query
		if query, err = parse(in.Search, q.Get("tz")); err == nil {
			err = h.matching(r.Context(), query, mark)
		}
	}
	if err != nil {
		return err
	}
	return writeOK(w)
}

// deleteMessages serves DELETE /api/v1/messages.
func (h *Handler) deleteMessages(w http.ResponseWriter, r *http.Request) error {
	var in struct{ IDs []string }
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	var err error
	if len(in.IDs) > 0 {
		err = h.Sink.Delete(r.Context(), in.IDs)
	} else {
		err = h.Sink.DeleteAll(r.Context())
	}
	if err != nil {
		return classify("mailpit.deleteMessages", err)
	}
	return writeOK(w)
}

// deleteSearch serves DELETE /api/v1/search.
func (h *Handler) deleteSearch(w http.ResponseWriter, r *http.Request) error {
	q, err := required(r)
	if err != nil {
		return err
	}
	query, err := search(q)
	if err != nil {
		return err
	}
	if err := h.matching(r.Context(), query, func(ids []string) error { return h.Sink.Delete(r.Context(), ids) }); err != nil {
		return err
	}
	return writeOK(w)
}
