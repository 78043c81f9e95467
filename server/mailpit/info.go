package mailpit

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"invited/server/problem"
	"invited/server/web"
)

// infoJSON is Mailpit's AppInformation. What nobody counts is 0.
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
		MessagesDeleted  int64
		SMTPAccepted     int64
		SMTPAcceptedSize int64
		SMTPRejected     int64
		SMTPIgnored      int64
	}
}

// getInfo serves GET /api/v1/info.
func (h *Handler) getInfo(w http.ResponseWriter, r *http.Request) error {
	out, err := h.info(r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// info returns what there is to count.
func (h *Handler) info(ctx context.Context) (out infoJSON, err error) {
	const op = "mailpit.info"
	totals, err := h.Sink.Totals(ctx)
	if err != nil {
		return out, classify(op, err)
	}
	tags, err := h.Sink.Tags(ctx)
	if err != nil {
		return out, classify(op, err)
	}
	if tags == nil {
		tags = map[string]int{}
	}
	out = infoJSON{
		Version: h.Version, LatestVersion: "disabled", Database: "sink", DatabaseSize: totals.Bytes,
		Messages: totals.Messages, Unread: totals.Unread, Tags: tags,
	}
	s := &out.RuntimeStats
	if !h.Started.IsZero() {
		s.Uptime = int64(h.Now().Sub(h.Started) / time.Second)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s.Memory, s.MessagesDeleted = mem.Sys-mem.HeapReleased, h.deleted.Load()
	if h.Stats != nil {
		s.SMTPAccepted, s.SMTPAcceptedSize, s.SMTPRejected, s.SMTPIgnored = h.Stats.Counts()
	}
	return out, nil
}

// webUIJSON is Mailpit's UI configuration. What we do not offer is off.
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
	out := webUIJSON{Label: h.Label, SpamAssassin: h.Spam != nil, ChaosEnabled: h.Faults != nil}
	if h.Relay != nil {
		m := &out.MessageRelay
		m.Enabled, m.SMTPServer, m.ReturnPath = true, h.Relay.Server, h.Relay.ReturnPath
		m.AllowedRecipients = h.Relay.allowed().String()
		m.RecipientAllowlist = m.AllowedRecipients
		if h.Relay.Blocked != nil {
			m.BlockedRecipients = h.Relay.Blocked.String()
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// answerOptions serves OPTIONS /api/v1/*. It grants other sites nothing.
func answerOptions(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
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
