// Package mailpit is the sink's REST face. It speaks the contract of Mailpit
// v1.30's API, so that clients of that server work unchanged, and says on top
// what only this sink knows: in which folder a message was filed for whom, and
// why.
//
// It reads and changes the sink and decides nothing. It never fetches anything
// a mail names (unless told to ask servers on this machine, see
// [Handler].LoopbackLinks), releases captured mail only to the one relay it was
// given, and serves foreign HTML only where no script can run.
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
//   - Link-check lists the links and checks none. Release goes to reserved
//     domains only, until other recipients are allowed. "latest" works wherever
//     an id does.
//   - HTML-check judges by a short list of our own; see [Clients].
//   - Chaos is spread evenly, not left to chance.
//   - Events come in the order in which things happened.
//   - A webhook queues and tries again; it never calls a private address.
//
// MailHog's clients find GET /api/v2/messages, /api/v2/search,
// /api/v1/messages/{id} and its download: reading only.
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
//	GET /api/v1/message/{id}/raw?headers=verdict   its source below that, as header fields
//	GET /api/v1/message/{id}/transcript   what was said by SMTP
//	GET, PUT /api/v1/faults               the rules by which SMTP fails
//	GET, PUT /api/v1/rules                the rules that force mail into a folder
//
// Every route is in GET /api/v1/swagger.json.
package mailpit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// Sink is what this face reads and changes. Implemented by *sink.Sink.
type Sink interface {
	Receive(ctx context.Context, e sink.Envelope, raw []byte) (id string, err error)
	Indexed(ctx context.Context, id string) error
	Get(ctx context.Context, id string) (sink.Captured, error)
	Raw(ctx context.Context, id string) ([]byte, error)
	Transcript(ctx context.Context, id string) (string, error)
	List(ctx context.Context, q sink.Query) (sink.Page, error)
	Match(ctx context.Context, q sink.Query) ([]string, error)
	Totals(ctx context.Context) (sink.Totals, error)
	Folders(ctx context.Context, after string, limit int) ([]sink.Mailbox, error)
	SetRead(ctx context.Context, ids []string, read bool) error
	SetTags(ctx context.Context, ids []string, tags []string) error
	RenameTag(ctx context.Context, tag, renamed string) error
	Tags(ctx context.Context) (map[string]int, error)
	SetFolder(ctx context.Context, id, recipient string, f sink.Folder) error
	Delete(ctx context.Context, ids []string) error
	DeleteAll(ctx context.Context) error
	Wait(ctx context.Context, q sink.Query, afterID string) (sink.Captured, error)
	Subscribe() (<-chan sink.Event, func())
}

// Handler serves the face. Its fields are set before [Handler.Mount]; it is
// safe for concurrent use afterwards, and must not be copied.
type Handler struct {
	Sink    Sink             // required
	Version string           // of this program
	Label   string           // of this sink, told to clients and webhooks; may be empty
	Log     *slog.Logger     // nil: failures are not logged
	Now     func() time.Time // required
	NewID   func() string    // left side of Message-IDs; nil: random
	Hosts   []string         // names this listener is reached under, besides loopback ones; see web.AllowHosts
	Started time.Time        // for the uptime of /api/v1/info; zero: not stated

	// Login says who may use this face. Nil: everybody who reaches it.
	Login func(user, password string) bool

	MaxSend       int64       // bytes of a mail made by POST /api/v1/send; 0 means 10 MiB
	Metrics       bool        // serve GET /metrics
	LoopbackLinks bool        // link-check may ask servers on this machine
	Relay         *Relay      // where released mail goes; nil: nowhere
	Spam          Spam        // nil: there is no sa-check
	Faults        Faults      // nil: chaos is not enabled
	FaultRules    FaultRules  // nil: faults are not enabled
	FolderRules   FolderRules // nil: no folder is forced by rules
	Stats         Stats       // nil: the counters of SMTP are 0
	Webhook       *Webhook    // told of new mail while Run runs; nil: nobody

	streams streams      // of GET /api/events
	deleted atomic.Int64 // messages, counted by Run
	thumbs  chan struct{}
}

// Stats counts what the SMTP listener did since the program started.
type Stats interface {
	// Counts returns the messages that were answered 250 with their bytes, the
	// commands and messages that were refused, and the messages that were
	// answered 250 and thrown away.
	Counts() (accepted, acceptedBytes, rejected, ignored int64)
}

// Mount registers the routes on mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	h.thumbs = make(chan struct{}, 1)
	guard := h.guard()
	for _, r := range h.routes() {
		write := h.writeError
		if r.write != nil {
			write = r.write
		}
		mux.Handle(r.pattern, guard(web.Wrap(h.Log, write, r.serve)))
	}
	// What there is no route for is answered as Mailpit does, not with a page.
	mux.Handle("/api/", guard(web.Wrap(h.Log, h.writeError, web.Fallback(mux, "/api/", "OPTIONS /api/v1/", "/"))))
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
		return headers(hosts(h.sameOrigin(crossOrigin(h.RequireLogin(next)))))
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
	case errors.Is(err, sink.ErrFull):
		return &problem.Error{Op: op, Kind: problem.Full, Reason: problem.StorageFull, Detail: "There is no room left on the disk; nothing was stored.", Err: err}
	case errors.Is(err, sink.ErrTooLarge):
		return &problem.Error{Op: op, Kind: problem.TooLarge, Reason: problem.BadInput, Detail: "The message is larger than the sink takes.", Err: err}
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
