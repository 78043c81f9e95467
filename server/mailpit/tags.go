package mailpit

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// listTags serves GET /api/v1/tags.
func (h *Handler) listTags(w http.ResponseWriter, r *http.Request) error {
	tags, err := h.tagNames(r)
	if err != nil {
		return classify("mailpit.listTags", err)
	}
	return web.WriteJSON(w, http.StatusOK, tags)
}

// tagNames returns every tag in use, in order.
func (h *Handler) tagNames(r *http.Request) ([]string, error) {
	tags, err := h.Sink.Tags(r.Context())
	return list(slices.Sorted(maps.Keys(tags))), err
}

// setTags serves PUT /api/v1/tags: the messages have these tags and no others.
func (h *Handler) setTags(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.setTags"
	var in struct{ Tags, IDs []string }
	found, err := readBody(w, r, &in)
	if err != nil {
		return err
	}
	if !found || len(in.IDs) == 0 {
		return problem.BadField(op, "IDs", "IDs is empty; name the messages to tag.")
	}
	for i, tag := range in.Tags {
		if in.Tags[i] = strings.TrimSpace(tag); !validTag(in.Tags[i]) {
			return badTag(op, "Tags", tag)
		}
	}
	if err := h.Sink.SetTags(r.Context(), in.IDs, list(in.Tags)); err != nil {
		return classify(op, err)
	}
	return writeOK(w)
}

// validTag reports whether s has the form of Mailpit's tags.
func validTag(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(" -_.@", rune(c)) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 100
}

func badTag(op, field, tag string) error {
	return problem.BadField(op, field, fmt.Sprintf("%q is no tag: a tag has 1 to 100 of the characters a-z, A-Z, 0-9, space and - _ . @.", clip(tag)))
}

// renameTag serves PUT /api/v1/tags/{tag}: the messages that carry the tag
// carry Name instead.
func (h *Handler) renameTag(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.renameTag"
	var in struct{ Name string }
	if _, err := readBody(w, r, &in); err != nil {
		return err
	}
	tag, name := r.PathValue("tag"), strings.TrimSpace(in.Name)
	if !validTag(name) {
		return badTag(op, "Name", name)
	}
	tags, err := h.Sink.Tags(r.Context())
	if err != nil {
		return classify(op, err)
	}
	if _, taken := tags[name]; taken && name != tag {
		return problem.BadField(op, "Name", fmt.Sprintf("The tag %q exists already; choose another name.", name))
	}
	return h.changeTag(w, r, tag, name)
}

// deleteTag serves DELETE /api/v1/tags/{tag}. The messages stay.
func (h *Handler) deleteTag(w http.ResponseWriter, r *http.Request) error {
	return h.changeTag(w, r, r.PathValue("tag"), "")
}

// changeTag renames a tag, or takes it off if name is empty. A tag that nobody
// carries is a bad request, as it is for Mailpit.
func (h *Handler) changeTag(w http.ResponseWriter, r *http.Request, tag, name string) error {
	const op = "mailpit.changeTag"
	err := h.Sink.RenameTag(r.Context(), tag, name)
	if errors.Is(err, sink.ErrNotFound) {
		return problem.BadField(op, "tag", fmt.Sprintf("No message carries the tag %q.", clip(tag)))
	}
	if err != nil {
		return classify(op, err)
	}
	return writeOK(w)
}
