// Package mailpit is the sink's REST face. It speaks the contract of Mailpit
// v1.30's API, so that clients of that server work unchanged, and says on top
// what only this sink knows: in which folder a message was filed for whom, and
// why.
//
// It reads and changes the sink and decides nothing. It never fetches anything
// a mail names, offers no release of captured mail, and serves foreign HTML
// only where no script can run.
//
// # Differences from Mailpit, on purpose
//
//   - A DELETE whose body is not one JSON object with known members is refused
//     and deletes nothing. An empty body, {} and {"IDs":[]} delete everything.
//   - The envelope is kept apart from the message. Recipients that no header
//     field names are listed in Bcc; the source is what the client sent.
//   - Lists that are empty are [], never null.
//   - HTML is shown with its images inline and everything else off; parts that
//     a browser could run are served as application/octet-stream.
//   - A request with the Origin of another host, or a Host header that is none
//     of ours, is refused. There is no option against it.
//
// # What is added
//
// Messages carry folder, verdict and recipients, the latter with a folder and
// a verdict each; single messages also envelope, links and redeemUrl.
//
//	GET /api/v1/wait                      the first message that matches, as soon as it is there
//	GET /api/v1/folders                   every mailbox with its counts
//	PUT /api/v1/message/{id}/folder       file a message elsewhere
//	GET /api/v1/message/{id}/verdict      why it lies where it lies
package mailpit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// Sink is what this face reads and changes. Implemented by *sink.Sink.
type Sink interface {
	Get(ctx context.Context, id string) (sink.Captured, error)
	Raw(ctx context.Context, id string) ([]byte, error)
	List(ctx context.Context, q sink.Query) (sink.Page, error)
	Match(ctx context.Context, q sink.Query) ([]string, error)
	Totals(ctx context.Context) (sink.Totals, error)
	Folders(ctx context.Context, after string, limit int) ([]sink.Mailbox, error)
	SetRead(ctx context.Context, ids []string, read bool) error
	SetTags(ctx context.Context, ids []string, tags []string) error
	Tags(ctx context.Context) (map[string]int, error)
	SetFolder(ctx context.Context, id, recipient string, f sink.Folder) error
	Delete(ctx context.Context, ids []string) error
	DeleteAll(ctx context.Context) error
	Wait(ctx context.Context, q sink.Query, afterID string) (sink.Captured, error)
}

// Handler serves the face. It is safe for concurrent use once mounted.
type Handler struct {
	Sink    Sink             // required
	Version string           // of this program
	Log     *slog.Logger     // nil: failures are not logged
	Now     func() time.Time // required
	Hosts   []string         // names this listener is reached under, besides loopback ones; see web.AllowHosts
	Started time.Time        // for the uptime of /api/v1/info; zero: not stated
}

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	guard := h.guard()
	handle := func(pattern string, serve web.Handler) {
		mux.Handle(pattern, guard(web.Wrap(h.Log, h.writeError, serve)))
	}
	handle("GET /api/v1/messages", h.listMessages)
	handle("PUT /api/v1/messages", h.markMessages)
	handle("DELETE /api/v1/messages", h.deleteMessages)
	handle("GET /api/v1/search", h.searchMessages)
	handle("DELETE /api/v1/search", h.deleteSearch)
	handle("GET /api/v1/message/{id}", h.getMessage)
	handle("GET /api/v1/message/{id}/headers", h.getHeaders)
	handle("GET /api/v1/message/{id}/raw", h.getRaw)
	handle("GET /api/v1/message/{id}/part/{part}", h.getPart)
	handle("GET /api/v1/message/{id}/verdict", h.getVerdict)
	handle("PUT /api/v1/message/{id}/folder", h.moveMessage)
	handle("GET /api/v1/tags", h.listTags)
	handle("PUT /api/v1/tags", h.setTags)
	handle("GET /api/v1/info", h.getInfo)
	handle("GET /api/v1/webui", h.getWebUI)
	handle("GET /api/v1/wait", h.waitMessage)
	handle("GET /api/v1/folders", h.listFolders)
	handle("OPTIONS /api/v1/", answerOptions)
	handle("GET /view/{file}", h.viewMessage)

	// Probes come from wherever the operator's tools are.
	mux.Handle("GET /livez", web.Wrap(h.Log, h.writeError, answerLive))
	mux.Handle("GET /readyz", web.Wrap(h.Log, h.writeError, h.answerReady))
}

// guard returns what every route but the probes stands behind.
func (h *Handler) guard() web.Middleware {
	crossOrigin, err := web.CrossOrigin(h.Log, h.writeError)
	if err != nil {
		panic("mailpit: no trusted origin can be wrong where there is none: " + err.Error())
	}
	headers := web.Headers(web.HeaderOptions{Policy: web.JSONPolicy})
	hosts := web.AllowHosts(h.Log, h.writeError, h.Hosts...)
	return func(next http.Handler) http.Handler {
		return headers(hosts(h.sameOrigin(crossOrigin(next))))
	}
}

// sameOrigin refuses every request with the Origin of another host, reads
// included: Mailpit does, and no page of ours sends one.
func (h *Handler) sameOrigin(next http.Handler) http.Handler {
	refuse := web.Wrap(h.Log, h.writeError, func(http.ResponseWriter, *http.Request) error {
		return &problem.Error{
			Op: "mailpit.sameOrigin", Kind: problem.Denied, Reason: problem.CrossSite, Field: "Origin",
			Detail: "This request came from a page of another site; only programs and our own pages may use this interface.",
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Host != r.Host {
				refuse.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// writeError answers p as Mailpit does: the sentence, as plain text.
func (h *Handler) writeError(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(web.Status(p.Kind))
	_, _ = io.WriteString(w, p.Detail)
}

// writeOK is Mailpit's answer to a change that was made.
func writeOK(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, "ok")
	return err
}

// classify turns a failure of the sink into a problem.
func classify(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sink.ErrNotFound):
		return missing(op, "404 page not found")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sink.ErrClosed):
		return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, Detail: "The sink is shutting down.", Err: err}
	default:
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: err}
	}
}

// missing says that something is not there, in Mailpit's words where it has
// some.
func missing(op, detail string) error {
	return &problem.Error{Op: op, Kind: problem.NotFound, Reason: problem.Missing, Detail: detail}
}
