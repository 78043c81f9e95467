package webmail

import (
	"net/http"
	"slices"
	"strings"

	"invited/mail/sink"
	"invited/server/problem"
)

// maxChosen is how many messages one form may name.
const maxChosen = 1000

// changeMail serves POST /mail. The fields are do, id (any number), tag, rcpt,
// recipients, and back; with all instead of id, it is about everything that the
// fields q, to and folder list.
func (h *Handler) changeMail(w http.ResponseWriter, r *http.Request) error {
	const op = "webmail.changeMail"
	do, ids := r.PostForm.Get("do"), r.PostForm["id"]
	if len(ids) > maxChosen {
		return problem.BadField(op, "id", "At most 1,000 messages can be changed by one form.")
	}
	if r.PostForm.Get("all") != "" {
		return h.changeAll(w, r, do)
	}
	if len(ids) == 0 {
		return back(w, r)
	}
	act, ok := map[string]func(*http.Request, []string) error{
		"read": h.setRead(true), "unread": h.setRead(false), "delete": h.deleteMail, "inbox": h.moveMail(sink.Inbox), "junk": h.moveMail(sink.Junk),
		"tag": h.addTag, "untag": h.dropTag, "release": h.releaseMail,
	}[do]
	if !ok {
		return problem.BadField(op, "do", "There is no such action.")
	}
	if err := act(r, ids); err != nil {
		return notFound(r, err)
	}
	say(w, do, len(ids))
	return back(w, r)
}

// changeAll deletes, or marks as read, all that is listed.
func (h *Handler) changeAll(w http.ResponseWriter, r *http.Request, do string) error {
	s := scopeOf(r.PostForm)
	if do == "delete" && s.all() {
		if err := h.Sink.DeleteAll(r.Context()); err != nil {
			return err
		}
		say(w, do, 0)
		return back(w, r)
	}
	q, err := s.query()
	if err != nil {
		return problem.BadField("webmail.changeAll", "q", err.Error())
	}
	ids, err := h.Sink.Match(r.Context(), q)
	if err != nil {
		return err
	}
	switch do {
	case "delete":
		err = h.Sink.Delete(r.Context(), ids)
	case "read":
		err = h.Sink.SetRead(r.Context(), ids, true)
	default:
		err = problem.BadField("webmail.changeAll", "do", "There is no such action for everything.")
	}
	if err != nil {
		return err
	}
	say(w, do, len(ids))
	return back(w, r)
}

func (h *Handler) setRead(read bool) func(*http.Request, []string) error {
	return func(r *http.Request, ids []string) error { return h.Sink.SetRead(r.Context(), ids, read) }
}

func (h *Handler) deleteMail(r *http.Request, ids []string) error {
	return h.Sink.Delete(r.Context(), ids)
}

// moveMail moves messages in the mailbox of rcpt, or in all that have them.
func (h *Handler) moveMail(to sink.Folder) func(*http.Request, []string) error {
	return func(r *http.Request, ids []string) error {
		for _, id := range ids {
			c, err := h.Sink.Get(r.Context(), id)
			if err != nil {
				return err
			}
			rcpt := r.PostForm.Get("rcpt")
			for _, one := range c.Recipients {
				if one.Folder == to || rcpt != "" && sink.Key(one.Address) != sink.Key(rcpt) {
					continue
				}
				if err := h.Sink.SetFolder(r.Context(), id, one.Address, to); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// maxTag is the longest tag, in bytes.
const maxTag = 100

func (h *Handler) addTag(r *http.Request, ids []string) error {
	tag := strings.Join(strings.Fields(r.PostForm.Get("tag")), " ")
	if tag == "" || len(tag) > maxTag || strings.ContainsAny(tag, `,"`) {
		return problem.BadField("webmail.addTag", "tag", text(r, "webmail.tag.rule"))
	}
	return h.retag(r, ids, func(tags []string) []string {
		if slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) }) {
			return tags
		}
		return append(tags, tag)
	})
}

func (h *Handler) dropTag(r *http.Request, ids []string) error {
	return h.retag(r, ids, func(tags []string) []string {
		return slices.DeleteFunc(tags, func(t string) bool { return t == r.PostForm.Get("tag") })
	})
}

func (h *Handler) retag(r *http.Request, ids []string, change func([]string) []string) error {
	for _, id := range ids {
		c, err := h.Sink.Get(r.Context(), id)
		if err != nil {
			return err
		}
		if err := h.Sink.SetTags(r.Context(), []string{id}, change(slices.Clone(c.Tags))); err != nil {
			return err
		}
	}
	return nil
}

// releaseMail hands a message to the relay.
func (h *Handler) releaseMail(r *http.Request, ids []string) error {
	const op = "webmail.releaseMail"
	if h.Release == nil {
		return problem.BadField(op, "relay", text(r, "webmail.release.none"))
	}
	if len(ids) != 1 {
		return problem.BadField(op, "id", "Release one message at a time.")
	}
	to := strings.FieldsFunc(r.PostForm.Get("recipients"), func(c rune) bool { return c == ',' || c == ';' || c == ' ' || c == '\n' || c == '\r' || c == '\t' })
	return h.Release(r.Context(), ids[0], to)
}
