package mailpit

import (
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

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
			return problem.BadField(op, "Tags", fmt.Sprintf("%q is no tag: a tag has 1 to 100 of the characters a-z, A-Z, 0-9, space and - _ . @.", clip(tag)))
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

// infoJSON is Mailpit's AppInformation. What this sink does not count is 0.
type infoJSON struct {
	Version       string
	LatestVersion string
	Database      string
	DatabaseSize  int64
	Messages      int
	Unread        int
	Tags          map[string]int
	RuntimeStats  struct {
		Uptime           int64 // seconds
		Memory           uint64
		MessagesDeleted  int
		SMTPAccepted     int
		SMTPAcceptedSize int64
		SMTPRejected     int
		SMTPIgnored      int
	}
}

// getInfo serves GET /api/v1/info.
func (h *Handler) getInfo(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.getInfo"
	totals, err := h.Sink.Totals(r.Context())
	if err != nil {
		return classify(op, err)
	}
	tags, err := h.Sink.Tags(r.Context())
	if err != nil {
		return classify(op, err)
	}
	if tags == nil {
		tags = map[string]int{}
	}
	out := infoJSON{
		Version: h.Version, LatestVersion: "disabled", Database: "sink", DatabaseSize: totals.Bytes,
		Messages: totals.Messages, Unread: totals.Unread, Tags: tags,
	}
	if !h.Started.IsZero() {
		out.RuntimeStats.Uptime = int64(h.Now().Sub(h.Started) / time.Second)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	out.RuntimeStats.Memory = mem.Sys - mem.HeapReleased
	return web.WriteJSON(w, http.StatusOK, out)
}

// webUIJSON is Mailpit's UI configuration: everything we do not offer is off.
type webUIJSON struct {
	Label        string
	MessageRelay struct {
		Enabled            bool
		SMTPServer         string
		ReturnPath         string
		AllowedRecipients  string
		BlockedRecipients  string
		OverrideFrom       string
		PreserveMessageIDs bool
		RecipientAllowlist string
	}
	SpamAssassin        bool
	ChaosEnabled        bool
	DuplicatesIgnored   bool
	HideDeleteAllButton bool
}

// getWebUI serves GET /api/v1/webui.
func (h *Handler) getWebUI(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, webUIJSON{})
}

// answerOptions serves OPTIONS /api/v1/*. It grants other sites nothing.
func answerOptions(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Allow", "GET, HEAD, PUT, DELETE, OPTIONS")
	w.WriteHeader(http.StatusOK)
	return nil
}

// answerLive serves GET /livez.
func answerLive(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusOK)
	return nil
}

// answerReady serves GET /readyz: 200 if the sink can be read.
func (h *Handler) answerReady(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.Sink.Totals(r.Context()); err != nil {
		return &problem.Error{
			Op: "mailpit.answerReady", Kind: problem.Unavailable, Reason: problem.Busy,
			Detail: "The sink cannot be read.", Err: err,
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
