package mailpit

import (
	"invited/server/web"
)

// route is one way in.
type route struct {
	pattern string // of http.ServeMux
	summary string // for swagger.json
	serve   web.Handler
	write   web.ErrorWriter // nil: plain text, as Mailpit does
}

// routes returns every route but the probes.
func (h *Handler) routes() []route {
	all := []route{
		{"GET /api/v1/messages", "List messages, newest first", h.listMessages, nil},
		{"PUT /api/v1/messages", "Mark messages read or unread: those of IDs, those Search finds, or all", h.markMessages, nil},
		{"DELETE /api/v1/messages", "Delete the messages of IDs, or all if there are none", h.deleteMessages, nil},
		{"GET /api/v1/search", "Search messages", h.searchMessages, nil},
		{"DELETE /api/v1/search", "Delete the messages a search finds", h.deleteSearch, nil},
		{"GET /api/v1/message/{id}", "Show one message and mark it read", h.getMessage, nil},
		{"GET /api/v1/message/{id}/headers", "Show its header fields", h.getHeaders, nil},
		{"GET /api/v1/message/{id}/raw", "Show its source", h.getRaw, nil},
		{"GET /api/v1/message/{id}/part/{part}", "Show one of its parts", h.getPart, nil},
		{"GET /api/v1/message/{id}/part/{part}/thumb", "Show a picture of 180 by 120 points", h.getThumb, nil},
		{"GET /api/v1/message/{id}/html-check", "Tell which mail clients show its HTML badly", h.checkHTML, nil},
		{"GET /api/v1/message/{id}/link-check", "List its links", h.checkLinks, nil},
		{"GET /api/v1/message/{id}/verdict", "Tell why it lies where it lies", h.getVerdict, nil},
		{"GET /api/v1/message/{id}/transcript", "Tell what was said by SMTP", h.getTranscript, nil},
		{"PUT /api/v1/message/{id}/folder", "File it in Inbox or Junk", h.moveMessage, nil},
		{"POST /api/v1/message/{id}/release", "Hand a copy to the relay", h.releaseMessage, nil},
		{"POST /api/v1/send", "Make a message and capture it", h.sendMessage, h.writeSendError},
		{"GET /api/v1/tags", "List the tags in use", h.listTags, nil},
		{"PUT /api/v1/tags", "Give messages exactly these tags", h.setTags, nil},
		{"PUT /api/v1/tags/{tag}", "Rename a tag", h.renameTag, nil},
		{"DELETE /api/v1/tags/{tag}", "Take a tag off all messages", h.deleteTag, nil},
		{"GET /api/v1/chaos", "Tell how often SMTP fails by chance", h.getChaos, nil},
		{"PUT /api/v1/chaos", "Set how often SMTP fails by chance", h.setChaos, nil},
		{"GET /api/v1/faults", "List the rules by which SMTP fails", h.getFaults, nil},
		{"PUT /api/v1/faults", "Exchange the rules by which SMTP fails", h.setFaults, nil},
		{"GET /api/v1/rules", "List the rules that force mail into a folder", h.getRules, nil},
		{"PUT /api/v1/rules", "Exchange the rules that force mail into a folder", h.setRules, nil},
		{"GET /api/v1/info", "Count messages and mails", h.getInfo, nil},
		{"GET /api/v1/webui", "Tell what is switched on", h.getWebUI, nil},
		{"GET /api/v1/wait", "Wait for the first message that matches", h.waitMessage, nil},
		{"GET /api/v1/folders", "List the mailboxes with their counts", h.listFolders, nil},
		{"GET /api/v1/swagger.json", "Describe this interface", h.describe, nil},
		{"GET /api/v1/{$}", "Lead to the description of this interface", leadToDescription, nil},
		{"GET /api/events", "Follow what happens, by WebSocket", h.streamEvents, nil},
		{"GET /view/{file}", "Show the HTML or text of a message", h.viewMessage, nil},
		{"GET /api/v2/messages", "List messages as MailHog does", h.listMailHog, nil},
		{"GET /api/v2/search", "Search messages as MailHog does", h.searchMailHog, nil},
		{"GET /api/v1/messages/{id}", "Show one message as MailHog does", h.getMailHog, nil},
		{"GET /api/v1/messages/{id}/download", "Save its source", h.downloadMailHog, nil},
		{"OPTIONS /api/v1/", "Grant other sites nothing", answerOptions, nil},
	}
	if h.Spam != nil {
		all = append(all, route{"GET /api/v1/message/{id}/sa-check", "Ask the spam engine", h.checkSpam, nil})
	}
	if h.Metrics {
		all = append(all, route{"GET /metrics", "Count for Prometheus", h.writeMetrics, nil})
	}
	return all
}
