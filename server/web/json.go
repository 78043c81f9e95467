package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"invited/server/problem"
)

// MaxJSON is the most bytes of JSON a request may hold, before and after
// decompression.
const MaxJSON = 1 << 20

// buffers are reused between answers. Large ones are let go.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepBuffer = 64 << 10

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// WriteJSON answers with v as JSON. Nothing is written if v cannot be encoded,
// so that the failure can still be answered. A Content-Type that is already
// set stays.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return &problem.Error{Op: "web.WriteJSON", Kind: problem.Internal, Detail: "internal error", Err: err}
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = jsonType
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

var jsonType = []string{"application/json; charset=utf-8"}

// ReadJSON reads the one JSON value of the request's body into the struct that
// into points to. Members that the struct does not name are ignored; of
// duplicate members the last one counts. The body is application/json in
// UTF-8, at most [MaxJSON] bytes, and may be compressed with gzip. Failures
// name the member and the rule.
func ReadJSON(r *http.Request, into any) error { return readJSON(r, into, false) }

// ReadStrictJSON is [ReadJSON] for our own contracts: a member that the struct
// does not name is refused, so that a misspelt one is not lost in silence.
func ReadStrictJSON(r *http.Request, into any) error { return readJSON(r, into, true) }

func readJSON(r *http.Request, into any, strict bool) error {
	if err := checkJSONType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	if err := readBody(r, b); err != nil {
		return err
	}
	data := bytes.TrimPrefix(b.Bytes(), []byte("\xef\xbb\xbf"))
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return badBody("The request body is empty; send one JSON object.", nil)
	case !utf8.Valid(data):
		return badBody("The request body is not valid UTF-8.", nil)
	}
	return decode(data, into, strict)
}

// checkJSONType refuses anything but application/json in UTF-8. Parameters
// such as odata.metadata are ignored.
func checkJSONType(value string) error {
	const op = "web.ReadJSON"
	media, params, err := mime.ParseMediaType(value)
	if errors.Is(err, mime.ErrInvalidMediaParameter) {
		err = nil
	}
	if err != nil || media != "application/json" {
		return &problem.Error{
			Op: op, Kind: problem.Unsupported, Reason: problem.BadInput, Field: "Content-Type",
			Detail: "The request body must be JSON: send the header Content-Type: application/json.",
		}
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return &problem.Error{
			Op: op, Kind: problem.Unsupported, Reason: problem.BadInput, Field: "Content-Type",
			Detail: "The request body must be UTF-8; other charsets are not read.",
		}
	}
	return nil
}

// readBody appends the body to b, decompressed, within MaxJSON.
func readBody(r *http.Request, b *bytes.Buffer) error {
	const op = "web.ReadJSON"
	limited := &io.LimitedReader{R: r.Body, N: MaxJSON + 1}
	var src io.Reader = limited
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		zr, err := gzipReader(limited)
		if err != nil {
			return badBody("The request body is not the gzip that Content-Encoding promises.", err)
		}
		defer gzipReaders.Put(zr)
		src = zr
	default:
		return &problem.Error{
			Op: op, Kind: problem.Unsupported, Reason: problem.BadInput, Field: "Content-Encoding",
			Detail: "Content-Encoding may be gzip or absent; send the body plain.",
		}
	}
	n, err := b.ReadFrom(io.LimitReader(src, MaxJSON+1))
	switch {
	case n > MaxJSON || limited.N == 0:
		return &problem.Error{
			Op: op, Kind: problem.TooLarge, Reason: problem.BadInput, Field: "body",
			Detail: "The request body is over 1 MiB; send less in one request.",
		}
	case err != nil:
		return badBody("The request body could not be read to its end.", err)
	}
	return nil
}

var gzipReaders sync.Pool

func gzipReader(r io.Reader) (*gzip.Reader, error) {
	if zr, ok := gzipReaders.Get().(*gzip.Reader); ok {
		return zr, zr.Reset(r)
	}
	return gzip.NewReader(r)
}

// decode unmarshals data and explains failures.
func decode(data []byte, into any, strict bool) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into); err != nil {
		return explain(err, len(data))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badBody(fmt.Sprintf("The request body holds more than one JSON value; the second starts after byte %d.", dec.InputOffset()), err)
	}
	return nil
}

// explain turns a failure of encoding/json into a sentence that names the
// member and the rule.
func explain(err error, size int) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return badBody(fmt.Sprintf("The request body is not valid JSON: see byte %d.", syntax.Offset), err)
	}
	if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if typ.Field == "" {
			return badBody("The request body must be "+describe(typ.Type)+", not "+article(typ.Value)+".", err)
		}
		return badMember(typ.Field, "must be "+describe(typ.Type)+", not "+article(typ.Value)+".", err)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
		return badMember(name, "is not a member of this request; check its spelling, or leave it out.", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return badBody(fmt.Sprintf("The request body is not valid JSON: it ends early, at byte %d.", size), err)
	}
	if p, ok := errors.AsType[*problem.Error](err); ok {
		return p
	}
	return badBody("The request body is not valid JSON.", err)
}

// describe says what JSON a Go type reads.
func describe(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	default:
		return "a number"
	}
}

// article names what encoding/json found: "string", "number 1.5", "array",
// "object", "bool".
func article(value string) string {
	switch kind, _, _ := strings.Cut(value, " "); kind {
	case "array", "object":
		return "an " + kind
	case "bool":
		return "true or false"
	case "":
		return "this"
	default:
		return "a " + kind
	}
}

func badMember(name, rule string, err error) error {
	const longest = 64
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	if name == "" {
		name = "(no name)"
	}
	return &problem.Error{
		Op: "web.ReadJSON", Kind: problem.Invalid, Reason: problem.BadInput, Field: name,
		Detail: fmt.Sprintf("%q %s", name, rule), Err: err,
	}
}

func badBody(detail string, err error) error {
	return &problem.Error{
		Op: "web.ReadJSON", Kind: problem.Invalid, Reason: problem.BadInput, Field: "body", Detail: detail, Err: err,
	}
}
