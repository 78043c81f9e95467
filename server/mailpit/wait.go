package mailpit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// How long GET /api/v1/wait waits.
const (
	standardWait = 30 * time.Second
	longestWait  = 60 * time.Second
)

// waitParams are the parameters of GET /api/v1/wait. Another one is refused: a
// misspelt to= would find somebody else's mail.
var waitParams = []string{"to", "from", "subject", "query", "folder", "after", "timeout"}

// waitMessage serves GET /api/v1/wait: 200 with a message that matches, as soon
// as there is one; 204 if none came in time. Messages that are already there
// count: the newest one, or with after the oldest of those that are newer.
//
//	to       the envelope recipient, whole
//	from     part of the sender
//	subject  part of the subject
//	query    a search in Mailpit's language
//	folder   Inbox or Junk: where it was filed for to
//	after    the id of a message
//	timeout  a duration such as 10s, or seconds; 30 s if absent, 60 s at most
func (h *Handler) waitMessage(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.waitMessage"
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	query, timeout, err := waitQuery(q)
	if err != nil {
		return err
	}
	// The listener's own deadline is for answers that are quick.
	extend := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + 15*time.Second))
	if extend != nil && !errors.Is(extend, http.ErrNotSupported) {
		return classify(op, extend)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	c, err := h.Sink.Wait(ctx, query, q.Get("after"))
	switch {
	case err == nil:
	case r.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded):
		w.WriteHeader(http.StatusNoContent)
		return nil
	case errors.Is(err, sink.ErrNotFound):
		return badAfter(op)
	default:
		return classify(op, err)
	}
	m, err := h.parsed(r.Context(), c.ID)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, message(c, m, query.Recipient))
}

// waitQuery reads the parameters of waitMessage.
func waitQuery(q url.Values) (query sink.Query, timeout time.Duration, err error) {
	const op = "mailpit.waitQuery"
	for name, values := range q {
		if !slices.Contains(waitParams, name) {
			return query, 0, problem.BadField(op, name, fmt.Sprintf("%q is no parameter of wait; there are %s.", clip(name), strings.Join(waitParams, ", ")))
		}
		if len(values) > 1 {
			return query, 0, problem.BadField(op, name, name+" is given twice; give it once.")
		}
	}
	text := q.Get("query")
	for _, name := range []string{"from", "subject"} {
		if v := q.Get(name); v != "" {
			text += " " + term(name, v)
		}
	}
	if query, err = parse(text, ""); err != nil {
		return query, 0, err
	}
	query.Recipient = q.Get("to")
	if name := q.Get("folder"); name != "" {
		folder, ok := folderNamed(name)
		if !ok {
			return query, 0, problem.BadField(op, "folder", "folder must be Inbox or Junk.")
		}
		query.Folder = folder
	}
	if after := q.Get("after"); after != "" && !messageID(after) {
		return query, 0, badAfter(op)
	}
	timeout, err = waitTimeout(q.Get("timeout"))
	return query, timeout, err
}

func badAfter(op string) error {
	return problem.BadField(op, "after", "after must be the id of a message: 24 hexadecimal digits in lower case.")
}

// waitTimeout reads a duration, or a number of seconds.
func waitTimeout(value string) (time.Duration, error) {
	if value == "" {
		return standardWait, nil
	}
	d, err := time.ParseDuration(value)
	if seconds, numeric := strconv.ParseFloat(value, 64); numeric == nil && seconds >= 0 && seconds <= longestWait.Seconds() {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return 0, problem.BadField("mailpit.waitTimeout", "timeout", "timeout must be a duration such as 10s, of at most 60s.")
	}
	return min(d, longestWait), nil
}

// messageID reports whether s has the form of a message's id.
func messageID(s string) bool {
	return len(s) == 24 && strings.Trim(s, "0123456789abcdef") == ""
}

// clip shortens what is repeated in an error.
func clip(s string) string { return clipTo(s, 40) }

func clipTo(s string, longest int) string {
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// listFolders serves GET /api/v1/folders?after=&limit=, by address.
func (h *Handler) listFolders(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.listFolders"
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	limit, err := number(q, "limit", 100)
	if err != nil {
		return err
	}
	if limit < 1 || limit > 1000 {
		return problem.BadField(op, "limit", "limit must be a whole number from 1 to 1000.")
	}
	boxes, err := h.Sink.Folders(r.Context(), q.Get("after"), limit)
	if err != nil {
		return classify(op, err)
	}
	type boxJSON struct {
		Address string `json:"address"`
		Inbox   int    `json:"inbox"`
		Junk    int    `json:"junk"`
		Unread  int    `json:"unread"`
	}
	out := struct {
		Folders []boxJSON `json:"folders"`
		Next    string    `json:"next,omitempty"` // after= of the next page
	}{Folders: []boxJSON{}}
	for _, b := range boxes {
		out.Folders = append(out.Folders, boxJSON{Address: b.Address, Inbox: b.Inbox, Junk: b.Junk, Unread: b.Unread})
	}
	if len(boxes) == limit {
		out.Next = boxes[limit-1].Address
	}
	return web.WriteJSON(w, http.StatusOK, out)
}
