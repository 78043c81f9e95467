package mailpit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"invited/mail/sink/mime"
	"invited/server/web"
)

const (
	maxLinks     = 100 // of one message; source: Mailpit
	linksAtOnce  = 5
	linkTimeout  = 5 * time.Second
	linksTimeout = 30 * time.Second // for all links
	maxHops      = 5                // redirects of one link
)

// What link-check says of a link it did not ask for, with StatusCode 0.
const (
	notChecked   = "not checked: this server fetches nothing"
	notCheckable = "not checked: this server asks only servers on this machine"
)

type checkedLinkJSON struct {
	URL        string
	StatusCode int
	Status     string
}

// checkLinks serves GET /api/v1/message/{id}/link-check. It asks for no link,
// unless LoopbackLinks is set and the link leads to this machine.
func (h *Handler) checkLinks(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	var out struct {
		Errors int
		Links  []checkedLinkJSON
	}
	out.Links = make([]checkedLinkJSON, 0, maxLinks)
	for _, link := range linksOf(m) {
		out.Links = append(out.Links, checkedLinkJSON{URL: link, Status: notChecked})
	}
	if h.LoopbackLinks {
		out.Errors = askAll(r.Context(), out.Links, slices.Contains([]string{"1", "true"}, q.Get("follow")))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// linksOf returns the first links of a message, each once: those a reader may
// follow, and those of pictures and style sheets.
func linksOf(m *mime.Message) (links []string) {
	add := func(link string) {
		if u, err := url.Parse(link); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
			len(links) < maxLinks && !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	for _, l := range m.Links {
		add(l.URL)
	}
	scanHTML(m.HTML, func(tag string, attrs map[string]string) {
		switch {
		case tag == "img":
			add(attrs["src"])
		case tag == "link" && strings.EqualFold(attrs["rel"], "stylesheet"):
			add(attrs["href"])
		}
	}, nil)
	return links
}

// askAll asks for the links that lead to this machine and returns how many
// failed.
func askAll(ctx context.Context, links []checkedLinkJSON, follow bool) (failed int) {
	ctx, cancel := context.WithTimeout(ctx, linksTimeout)
	defer cancel()
	t := transport(reachLoopback)
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: linkTimeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if !follow || len(via) >= maxHops || !loopbackHost(req.URL.Hostname()) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	var group errgroup.Group
	group.SetLimit(linksAtOnce)
	for i := range links {
		link := &links[i]
		if u, err := url.Parse(link.URL); err != nil || !loopbackHost(u.Hostname()) {
			link.Status = notCheckable
			continue
		}
		group.Go(func() error {
			link.StatusCode, link.Status = ask(ctx, client, link.URL)
			return nil
		})
	}
	_ = group.Wait()
	for _, link := range links {
		if link.Status != notCheckable && (link.StatusCode < 200 || link.StatusCode > 399) {
			failed++
		}
	}
	return failed
}

// ask makes a HEAD request.
func ask(ctx context.Context, client *http.Client, link string) (code int, status string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, link, nil)
	if err != nil {
		return 0, "not a URL"
	}
	resp, err := client.Do(req)
	switch e, timeout := errors.AsType[net.Error](err); {
	case err == nil:
		defer resp.Body.Close()
		return resp.StatusCode, cmpOr(http.StatusText(resp.StatusCode), "unknown status")
	case timeout && e.Timeout():
		return 0, "no answer in time"
	default:
		return 0, "cannot be reached"
	}
}
