package web_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/problem"
	"invited/server/web"
)

type person struct {
	Name  *string `json:"name"`
	Age   int     `json:"age"`
	Admin bool    `json:"admin"`
	Home  struct {
		Tags []string `json:"tags"`
	} `json:"home"`
}

func zip(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestReadJSON(t *testing.T) {
	const js = "application/json"
	tests := []struct {
		name, contentType, encoding, body string
		strict                            bool
		kind                              problem.Kind // Internal: accepted
		field, detail                     string
	}{
		{name: "an object is read", contentType: js, body: `{"name":"Ana","age":3}`},
		{name: "parameters of the type are ignored", contentType: js + ";odata.metadata=minimal; charset=UTF-8", body: `{}`},
		{name: "a broken parameter is ignored", contentType: js + "; IEEE754Compatible", body: `{}`},
		{name: "a byte order mark is skipped", contentType: js, body: "\ufeff{}"},
		{name: "gzip is inflated", contentType: js, encoding: "gzip", body: zip(t, `{"name":"Ana"}`)},
		{name: "the last of two duplicates counts", contentType: js, body: `{"name":"Bo","name":"Ana"}`},
		{name: "an unknown member is ignored", contentType: js, body: `{"fullName":"Ana"}`},
		{
			name: "an unknown member is refused by the strict form", contentType: js, body: `{"fullName":"Ana"}`, strict: true,
			kind: problem.Invalid, field: "fullName", detail: "spelling",
		},
		{name: "another type is refused", contentType: "text/plain", body: `{}`, kind: problem.Unsupported, field: "Content-Type", detail: "application/json"},
		{name: "no type is refused", body: `{}`, kind: problem.Unsupported, field: "Content-Type", detail: "application/json"},
		{name: "another charset is refused", contentType: js + "; charset=utf-16", body: `{}`, kind: problem.Unsupported, field: "Content-Type", detail: "UTF-8"},
		{name: "another encoding is refused", contentType: js, encoding: "br", body: `{}`, kind: problem.Unsupported, field: "Content-Encoding", detail: "gzip"},
		{name: "gzip that is none is refused", contentType: js, encoding: "gzip", body: `{"a":1}`, kind: problem.Invalid, field: "body", detail: "gzip"},
		{name: "gzip that ends early is refused", contentType: js, encoding: "gzip", body: zip(t, `{"name":"Ana"}`)[:20], kind: problem.Invalid, field: "body", detail: "end"},
		{name: "a bomb is refused", contentType: js, encoding: "gzip", body: zip(t, strings.Repeat(" ", 8<<20)), kind: problem.TooLarge, field: "body", detail: "1 MiB"},
		{name: "a large body is refused", contentType: js, body: strings.Repeat(" ", web.MaxJSON) + "{}", kind: problem.TooLarge, field: "body", detail: "1 MiB"},
		{name: "an empty body is refused", contentType: js, body: " \n", kind: problem.Invalid, field: "body", detail: "empty"},
		{name: "a body that is no UTF-8 is refused", contentType: js, body: "{\"name\":\"\xff\"}", kind: problem.Invalid, field: "body", detail: "UTF-8"},
		{name: "a mistake is shown by its place", contentType: js, body: `{"name":}`, kind: problem.Invalid, field: "body", detail: "byte 9"},
		{name: "an early end is shown", contentType: js, body: `{"name":"Ana"`, kind: problem.Invalid, field: "body", detail: "ends early"},
		{name: "a second value is refused", contentType: js, body: `{} {}`, kind: problem.Invalid, field: "body", detail: "more than one"},
		{name: "a list is no object", contentType: js, body: `[]`, kind: problem.Invalid, field: "body", detail: "must be an object, not an array"},
		{name: "a number is no string", contentType: js, body: `{"name":1}`, kind: problem.Invalid, field: "name", detail: "must be a string, not a number"},
		{name: "a string is no bool", contentType: js, body: `{"admin":"yes"}`, kind: problem.Invalid, field: "admin", detail: "true or false"},
		{name: "a fraction is no whole number", contentType: js, body: `{"age":1.5}`, kind: problem.Invalid, field: "age", detail: "whole number"},
		{name: "a nested member is named with its path", contentType: js, body: `{"home":{"tags":"x"}}`, kind: problem.Invalid, field: "home.tags", detail: "must be an array, not a string"},
		{name: "nesting without end is refused", contentType: js, body: strings.Repeat("[", 100000), kind: problem.Invalid, field: "body", detail: "JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			read := web.ReadJSON
			if tt.strict {
				read = web.ReadStrictJSON
			}
			var p person
			err := read(r, &p)
			if tt.kind == problem.Internal {
				require.NoError(t, err)
				if strings.Contains(tt.body, `"Ana"`) && !strings.Contains(tt.body, "fullName") {
					require.Equal(t, "Ana", *p.Name)
				}
				return
			}
			got := problem.Of(err)
			require.Equal(t, tt.kind, got.Kind, err)
			require.Equal(t, tt.field, got.Field)
			require.Contains(t, got.Detail, tt.detail)
		})
	}
}

// FuzzReadJSON checks that no body makes reading panic or fail as our fault.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`{"name":"Ana"}`, `{"home":{"tags":[1]}}`, `[[[`, "\ufeff", `{"a":1}{"a":2}`, "\x1f\x8b"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, body string, zipped bool) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if zipped {
			r.Header.Set("Content-Encoding", "gzip")
		}
		var p person
		if err := web.ReadStrictJSON(r, &p); err != nil {
			got := problem.Of(err)
			require.NotEqual(t, problem.Internal, got.Kind)
			require.NotEmpty(t, got.Field)
		}
	})
}
