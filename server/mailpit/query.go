package mailpit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/server/problem"
	"invited/server/web"
)

// maxBody is the most bytes a request may hold. Source: Mailpit.
const maxBody = 5 << 20

// readBody decodes the JSON object of a request into the struct that into
// points to, and reports whether there was one. Any content type will do:
// Mailpit's clients send what they like. A member that the struct does not name
// is refused, since a misspelt IDs would mean "all".
func readBody(w http.ResponseWriter, r *http.Request, into any) (found bool, err error) {
	const op = "mailpit.readBody"
	raw, err := readLimited(w, r, maxBody)
	if err != nil {
		return false, err
	}
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")))
	if len(raw) == 0 {
		return false, nil
	}
	if raw[0] != '{' {
		return false, badBody(op, "The request body must be one JSON object; nothing was changed.", nil)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return false, badBody(op, "The request body is not the JSON object this address reads; nothing was changed. "+
			"Check its syntax and the spelling and types of its members.", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return false, badBody(op, "The request body holds more than one JSON object; nothing was changed.", err)
	}
	return true, nil
}

// readLimited returns the request's body if it is not over the limit.
func readLimited(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	const op = "mailpit.readLimited"
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &problem.Error{
			Op: op, Kind: problem.TooLarge, Reason: problem.BadInput, Field: "body",
			Detail: fmt.Sprintf("The request body is over %d MB; send less in one request.", limit>>20),
		}
	}
	if err != nil {
		return nil, badBody(op, "The request body could not be read to its end; nothing was changed.", err)
	}
	return raw, nil
}

func badBody(op, detail string, err error) error {
	return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.BadInput, Field: "body", Detail: detail, Err: err}
}

// number returns a parameter that has to be a whole number from 0.
func number(q url.Values, name string, standard int) (int, error) {
	value := q.Get(name)
	if value == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, problem.BadField("mailpit.number", name, name+" must be a whole number, 0 or more.")
	}
	return n, nil
}

// search turns the parameters query, before and tz into a query of the sink.
func search(q url.Values) (sink.Query, error) {
	text := q.Get("query")
	if before := q.Get("before"); before != "" {
		text += " " + term("before", before)
	}
	return parse(text, q.Get("tz"))
}

// parse reads text in Mailpit's search language, with dates in a time zone of
// the IANA database (empty: UTC).
func parse(text, zone string) (sink.Query, error) {
	const op = "mailpit.parse"
	in, err := time.LoadLocation(zone)
	if err != nil {
		return sink.Query{}, problem.BadField(op, "tz", "tz must be the name of a time zone, such as Europe/Berlin.")
	}
	query, err := sink.ParseQueryIn(text, in)
	if e, ok := errors.AsType[*sink.QueryError](err); ok {
		return query, &problem.Error{
			Op: op, Kind: problem.Invalid, Reason: problem.BadInput, Field: "query",
			Detail: fmt.Sprintf("The search term %q does not parse: %s.", clip(e.Term), e.Detail), Err: err,
		}
	}
	return query, classify(op, err)
}

// term writes one term of the search language.
func term(name, value string) string {
	return name + `:"` + strings.ReplaceAll(value, `"`, " ") + `"`
}

// required returns the parameter query, without which searching, and above all
// deleting what was found, is refused.
func required(r *http.Request) (url.Values, error) {
	q, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(q.Get("query")) == "" {
		return nil, problem.BadField("mailpit.required", "query", "Error: no search query")
	}
	return q, nil
}

// matching calls do with the ids of all messages that match, if there are any.
func (h *Handler) matching(ctx context.Context, query sink.Query, do func(ids []string) error) error {
	const op = "mailpit.matching"
	ids, err := h.Sink.Match(ctx, query)
	if err == nil && len(ids) > 0 {
		err = do(ids)
	}
	return classify(op, err)
}

// latest resolves the id of a route: "latest" is the newest message, or the
// newest that the parameter query finds.
func (h *Handler) latest(r *http.Request) (string, error) {
	const op = "mailpit.latest"
	id := r.PathValue("id")
	if id != "latest" {
		return id, nil
	}
	q, err := web.Query(r)
	if err != nil {
		return "", err
	}
	query, err := search(q)
	if err != nil {
		return "", err
	}
	query.Limit = 1
	page, err := h.Sink.List(r.Context(), query)
	if err != nil {
		return "", classify(op, err)
	}
	if len(page.Messages) == 0 {
		return "", missing(op, "Message not found")
	}
	return page.Messages[0].ID, nil
}
