package main

import (
	"invited/mail/sink/faults"
	"invited/server/mailpit"
	"invited/server/webmail"
)

// newWebmail builds the sink's pages. They show what the REST face knows.
func (a *app) newWebmail(set *faults.Set) *webmail.Handler {
	h := &webmail.Handler{Sink: a.sink, SMTP: a.SMTPAddr(), Now: a.clock.Now, Log: a.log, Faults: set, Support: clientSupport}
	if a.rest.Relay != nil {
		h.Relay, h.Release = a.rest.Relay.Server, a.rest.Release
	}
	return h
}

// clientSupport hands the judgement of html-check to the pages.
func clientSupport(html string) *webmail.Support {
	judged := mailpit.CheckHTML(html)
	out := &webmail.Support{Supported: judged.Supported, Partial: judged.Partial, Unsupported: judged.Unsupported}
	for _, c := range mailpit.Clients {
		out.Clients = append(out.Clients, c.Name)
	}
	for _, f := range judged.Features {
		out.Features = append(out.Features, webmail.Feature{Name: f.Title, Note: f.Note, Found: f.Found, No: f.No, Partly: f.Partly})
	}
	return out
}
