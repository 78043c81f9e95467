package webmail

import (
	"net/http"
	"net/url"
	"strings"

	"invited/mail/sink"
)

// scope is what is listed: it travels in URLs, so that a message knows the list
// it was opened from.
type scope struct{ To, Folder, Search string }

func scopeOf(q url.Values) scope {
	s := scope{To: q.Get("to"), Folder: q.Get("folder"), Search: q.Get("q")}
	if s.Folder != string(sink.Inbox) && s.Folder != string(sink.Junk) {
		s.Folder = ""
	}
	return s
}

// query returns the search; its error is a [*sink.QueryError].
func (s scope) query() (sink.Query, error) {
	q, err := sink.ParseQuery(s.Search)
	if err != nil {
		return q, err
	}
	q.Recipient, q.Uncounted = s.To, true
	if s.Folder != "" {
		q.Folder = sink.Folder(s.Folder)
	}
	return q, nil
}

// url returns a path of ours that carries the scope, and more parameters as
// name, value, name, value; empty values are left out.
func (s scope) url(path string, more ...string) string {
	q := url.Values{}
	pairs := append([]string{"to", s.To, "folder", s.Folder, "q", s.Search}, more...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// all reports whether everything is listed.
func (s scope) all() bool { return s == scope{} }

// local returns a reference to a page of ours, or "/" for anything else.
func local(ref string) string {
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || u.User != nil ||
		!strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(ref, "\\\r\n\t") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// back leads to the page whose form was sent.
func back(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, local(r.PostForm.Get("back")), http.StatusSeeOther)
	return nil
}
