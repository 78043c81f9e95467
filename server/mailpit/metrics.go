package mailpit

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// writeMetrics serves GET /metrics in the text format of Prometheus (version
// 0.0.4). Every figure is of this moment.
func (h *Handler) writeMetrics(w http.ResponseWriter, r *http.Request) error {
	info, err := h.info(r.Context())
	if err != nil {
		return err
	}
	var b strings.Builder
	s := info.RuntimeStats
	for _, m := range []struct {
		name, kind, help string
		value            int64
	}{
		{"messages", "gauge", "Messages there are.", int64(info.Messages)},
		{"messages_unread", "gauge", "Messages that nobody has read.", int64(info.Unread)},
		{"messages_deleted_total", "counter", "Messages deleted since the start.", s.MessagesDeleted},
		{"database_size_bytes", "gauge", "Bytes of all messages.", info.DatabaseSize},
		{"memory_usage_bytes", "gauge", "Bytes of memory taken from the system.", int64(s.Memory)},
		{"smtp_accepted_total", "counter", "Messages accepted by SMTP since the start.", s.SMTPAccepted},
		{"smtp_accepted_size_bytes_total", "counter", "Bytes of messages accepted by SMTP since the start.", s.SMTPAcceptedSize},
		{"smtp_rejected_total", "counter", "Commands and messages refused by SMTP since the start.", s.SMTPRejected},
		{"smtp_ignored_total", "counter", "Messages accepted by SMTP and thrown away since the start.", s.SMTPIgnored},
		{"uptime_seconds", "gauge", "Seconds since the start.", s.Uptime},
	} {
		fmt.Fprintf(&b, "# HELP mailpit_%[1]s %[3]s\n# TYPE mailpit_%[1]s %[2]s\nmailpit_%[1]s %[4]d\n", m.name, m.kind, m.help, m.value)
	}
	b.WriteString("# HELP mailpit_tag_messages Messages that carry a tag.\n# TYPE mailpit_tag_messages gauge\n")
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for _, tag := range slices.Sorted(maps.Keys(info.Tags)) {
		fmt.Fprintf(&b, "mailpit_tag_messages{tag=\"%s\"} %d\n", escape.Replace(tag), info.Tags[tag])
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err = io.WriteString(w, b.String())
	return err
}
