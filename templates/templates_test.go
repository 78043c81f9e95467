package templates

import (
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// placeholder is an argument of a text.
var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func TestLanguagesHaveTheSameKeys(t *testing.T) {
	s := load()
	require.Contains(t, s.catalogs, Default)
	require.Contains(t, s.catalogs, "de")
	for tag, c := range s.catalogs {
		for key, want := range s.catalogs[Default].texts {
			got, ok := c.texts[key]
			if !ok {
				t.Errorf("lang/%s lacks %q", tag, key)
				continue
			}
			if (got == "") != (want == "") {
				t.Errorf("lang/%s: %q is empty in one language only", tag, key)
			}
			if strings.TrimSpace(got) != got {
				t.Errorf("lang/%s: %q begins or ends with a space", tag, key)
			}
			for _, p := range placeholder.FindAllString(got, -1) {
				if !strings.Contains(want, p) {
					t.Errorf("lang/%s: %q uses %s, which lang/%s does not", tag, key, p, Default)
				}
			}
		}
		for key := range c.texts {
			if _, ok := s.catalogs[Default].texts[key]; !ok {
				t.Errorf("lang/%s has %q, which lang/%s lacks", tag, key, Default)
			}
		}
	}
}

func TestTemplatesUseOnlyKeysThatExist(t *testing.T) {
	use := regexp.MustCompile(`\bt "([^"]+)"`)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(name, "pages/") && !strings.HasPrefix(name, "mail/") {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for _, m := range use.FindAllStringSubmatch(string(data), -1) {
			if !strings.HasSuffix(m[1], ".") && !HasText(m[1]) {
				t.Errorf("%s uses %q, which no language file has", name, m[1])
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// pages is one value of every page struct.
var pages = []Page{
	BlockPage{}, BoxesPage{}, CodePage{}, DeclinedPage{}, EmptyPage{}, FaultsPage{}, HelpPage{}, InboxPage{}, LeavePage{}, MailPage{}, MessagePage{}, MyAppsPage{}, NewLinkPage{}, RefusedPage{}, ReviewPage{}, SignInPage{},
}

// fill sets every field of a struct to something that shows: the opposite of
// the zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString(`https://a.example/<b>"&'`)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Float64:
		v.SetFloat(5.5)
	}
}

func TestEveryPageRendersInEveryLanguage(t *testing.T) {
	seen := map[string]bool{}
	for _, empty := range pages {
		filled := reflect.New(reflect.TypeOf(empty))
		fill(filled.Elem())
		seen[empty.page()] = true
		for _, lang := range Languages() {
			for state, p := range map[string]Page{"empty": empty, "filled": filled.Elem().Interface().(Page)} {
				t.Run(empty.page()+" "+lang+" "+state, func(t *testing.T) {
					var out strings.Builder
					require.NoError(t, Render(&out, lang, p))
					require.NotContains(t, out.String(), "ZgotmplZ")
					require.NotContains(t, out.String(), "<b>", "text was not escaped")
					require.NotRegexp(t, `\[[a-z]+\.[a-z.]+\]`, out.String(), "a text is missing")
				})
			}
		}
	}
	names, err := fs.Glob(files, "pages/*.html")
	require.NoError(t, err)
	for _, name := range names {
		if !seen[strings.TrimSuffix(path.Base(name), ".html")] {
			t.Errorf("%s is in no test: add its struct to pages", name)
		}
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, "en"},
		{"exact", []string{"de"}, "de"},
		{"region is ignored", []string{"de-AT"}, "de"},
		{"the default's region", []string{"en-US"}, "en"},
		{"first set wins", []string{"", "de-DE", "en"}, "de"},
		{"a language without texts is passed over", []string{"fr-FR", "de"}, "de"},
		{"Accept-Language with weights", []string{"fr;q=0.9, de;q=0.8, en;q=0.5"}, "de"},
		{"English before German", []string{"en-GB, de;q=0.8"}, "en"},
		{"nonsense is passed over", []string{"\x00\xff", "x", "de"}, "de"},
		{"a far relative counts as none", []string{"nl"}, "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Match(tt.in...)) })
	}
}

func TestText(t *testing.T) {
	s, err := parse(fstest.MapFS{
		"lang/en/a.json": {Data: []byte(`{"a":"A {x} {y}","only":"en {x}"}`)},
		"lang/de/a.json": {Data: []byte(`{"a":"Ä {y} {x}"}`)},
	})
	require.NoError(t, err)
	require.Equal(t, "A 1 2", s.text("en", "a", "x", 1, "y", "2"))
	require.Equal(t, "Ä 2 1", s.text("de", "a", "x", 1, "y", "2"))
	require.Equal(t, "A {y} 2", s.text("en", "a", "x", "{y}", "y", "2"), "arguments are not replaced again")
	require.Equal(t, "en 1", s.text("de", "only", "x", 1), "falls back to the default language")
	require.Equal(t, "en {x}", s.text("xx", "only"), "an unknown language is the default")
	require.Equal(t, "[none]", s.text("en", "none"), "a missing text is seen")
	require.Equal(t, "A {x} {y}", s.text("en", "a", "x"), "an argument without value is left alone")
	require.Equal(t, "a } {z {1}", expand("a } {z {{x}}", []any{"x", 1}), "other braces are left alone")
	require.Equal(t, "{", expand("{", []any{"x", 1}))
}

func TestBrokenFilesAreNamed(t *testing.T) {
	tests := []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"no default language", fstest.MapFS{"lang/de/a.json": {Data: []byte(`{}`)}}, "en"},
		{"not JSON", fstest.MapFS{"lang/en/a.json": {Data: []byte(`{`)}}, "lang/en/a.json"},
		{"key in two files", fstest.MapFS{"lang/en/a.json": {Data: []byte(`{"k":""}`)}, "lang/en/b.json": {Data: []byte(`{"k":""}`)}}, `"k"`},
		{"folder that is no language", fstest.MapFS{"lang/!/a.json": {Data: []byte(`{}`)}}, "lang/!"},
		{"broken page", fstest.MapFS{"lang/en/a.json": {Data: []byte(`{}`)}, "pages/p.html": {Data: []byte(`{{if}}`)}}, "p.html"},
		{"broken mail", fstest.MapFS{"lang/en/a.json": {Data: []byte(`{}`)}, "mail/m.txt": {Data: []byte(`{{nope}}`)}}, "nope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.files)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// reasonNames returns the reasons there are texts for.
func reasonNames() []string {
	var out []string
	for key := range load().catalogs[Default].texts {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(key, "reason."), ".title"); ok && strings.HasPrefix(key, "reason.") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestReasons(t *testing.T) {
	names := reasonNames()
	require.Contains(t, names, "jit_disabled")
	args := []any{"address", "ana@fabrikam.example", "domain", "fabrikam.example", "organization", "Contoso", "retry", 5 * time.Minute, "detail", "The name is too long."}
	for _, name := range names {
		for _, lang := range Languages() {
			for _, a := range [][]any{nil, args} {
				r := ReasonFor(lang, name, a...)
				for _, text := range []string{r.Title, r.Text, r.Remedy} {
					require.NotEmpty(t, text, name)
					require.NotRegexp(t, `[{}\[\]]`, text, "%s in %s", name, lang)
				}
				require.Empty(t, placeholder.FindAllString(r.Forward, -1), name)
				require.NotRegexp(t, `[.!]$`, r.Title, "%s in %s: a title is no sentence", name, lang)
				require.Regexp(t, `[.!?]$`, r.Text, "%s in %s", name, lang)
				require.Regexp(t, `[.!?]$`, r.Remedy, "%s in %s", name, lang)
			}
		}
	}
}

func TestReasonsForTheGuestsOwnAdministrator(t *testing.T) {
	args := []any{"address", "ana@fabrikam.example", "domain", "fabrikam.example", "organization", "Contoso"}
	for _, lang := range Languages() {
		r := ReasonFor(lang, "jit_disabled", args...)
		for _, want := range []string{"AllowEmailVerifiedUsers", "ana@fabrikam.example", "fabrikam.example", "Contoso"} {
			require.Contains(t, r.Forward, want)
		}
		require.Contains(t, r.Remedy, "AllowEmailVerifiedUsers")
		require.Contains(t, ReasonFor(lang, "home_federated", args...).Forward, "AADB2B_0001")
		require.NotEmpty(t, ReasonFor(lang, "no_sign_in", args...).Forward)
		require.Empty(t, ReasonFor(lang, "jit_disabled").Forward, "a letter that cannot name its subject is left out")
		require.Empty(t, ReasonFor(lang, "complete", args...).Forward)
	}
}

func TestReasonArguments(t *testing.T) {
	tests := []struct {
		name, lang string
		retry      any
		want       string
	}{
		{"seconds", "en", 42 * time.Second, "in 42 seconds."},
		{"one second", "en", time.Second, "in 1 second."},
		{"rounded up", "en", 4*time.Minute + time.Second, "in 5 minutes."},
		{"hours", "de", 23*time.Hour + time.Minute, "in 24 Stunden."},
		{"nothing known", "en", time.Duration(0), "in a little while."},
		{"words", "en", "two days", "in two days."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, ReasonFor(tt.lang, "rate_limited", "retry", tt.retry).Remedy, tt.want)
		})
	}
	require.Equal(t, "The organisation has withdrawn the invitation. None of its links work any more.", ReasonFor("en", "link_revoked", "organization", "").Text)
	require.True(t, strings.HasPrefix(ReasonFor("en", "complete", "address", "ana@b.example").Text, "ana@b.example "), "an address keeps its case")
}
