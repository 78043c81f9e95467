// Package templates holds every text a person reads: pages, mails, and the
// words for each reason, with one Go struct per text and one folder per
// language.
//
// It decides nothing and imports nothing of ours. Whoever wants to say
// something fills a struct; whoever wants to say it better edits a file here.
//
//	lang/<tag>/*.json   flat key → text, {name} marks an argument
//	pages/*.html        one file per page struct, html/template
//	pages/parts/*.html  pieces that pages share
//	mail/*.html *.txt   the two parts of each mail
//	assets/             style sheets, icons, scripts, served under /assets/
package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	texttemplate "text/template"

	"golang.org/x/text/language"
)

//go:embed lang mail pages assets
var files embed.FS

// Default is the language that has every text.
const Default = "en"

// A catalog is one language's texts and the templates bound to it.
type catalog struct {
	tag   language.Tag
	texts map[string]string
	pages map[string]*template.Template     // by file name without extension
	html  map[string]*template.Template     // HTML part of mails
	plain map[string]*texttemplate.Template // text part of mails
}

// set is every language, parsed once.
type set struct {
	catalogs map[string]*catalog
	matcher  language.Matcher
	tags     []string // in the order of the matcher
}

// load parses every file. A mistake in an embedded file is a programming
// error, found by the package's own tests.
var load = sync.OnceValue(func() *set {
	s, err := parse(files)
	if err != nil {
		panic("templates: " + err.Error())
	}
	return s
})

// Languages returns the language tags there are texts for, [Default] first.
func Languages() []string { return append([]string(nil), load().tags...) }

// Match returns the best language for a list of preferences, each a BCP 47 tag
// or an Accept-Language value, in falling order. A poor match counts as none:
// then the answer is [Default].
func Match(preferences ...string) string {
	s := load()
	for _, p := range preferences {
		tags, _, err := language.ParseAcceptLanguage(p)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, c := s.matcher.Match(tags...); c >= language.High {
			return s.tags[i]
		}
	}
	return Default
}

// Text returns the text for key, its arguments given as name, value, name,
// value. A language that lacks the key falls back to [Default]; a key that no
// language has comes back in brackets, so that it is seen.
func Text(lang, key string, args ...any) string { return load().text(lang, key, args...) }

// Page is the data of one page. Its name is the file under pages/ that shows it.
type Page interface{ page() string }

// Render writes p in a language.
func Render(w io.Writer, lang string, p Page) error {
	t, ok := load().catalog(lang).pages[p.page()]
	if !ok {
		return fmt.Errorf("templates: no page %q", p.page())
	}
	return t.ExecuteTemplate(w, p.page()+".html", p)
}

// Assets returns the files served under /assets/.
func Assets() fs.FS {
	sub, err := fs.Sub(files, "assets")
	if err != nil {
		panic("templates: " + err.Error())
	}
	return sub
}

// text implements [Text].
func (s *set) text(lang, key string, args ...any) string {
	text, ok := s.catalog(lang).texts[key]
	if !ok {
		if text, ok = s.catalogs[Default].texts[key]; !ok {
			return "[" + key + "]"
		}
	}
	if len(args) == 0 {
		return text
	}
	return expand(text, args)
}

// expand replaces each {name} in text by the value that follows name in args.
// Values are not searched again; a name that args lack stays as it is.
func expand(text string, args []any) string {
	var b strings.Builder
	b.Grow(len(text) + 32)
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, ok := strings.Cut(rest, "}")
		value, known := argument(args, name)
		if !ok || !known {
			b.WriteByte('{')
			text = rest
			continue
		}
		b.WriteString(value)
		text = after
	}
}

// argument returns the value that follows name in args.
func argument(args []any, name string) (string, bool) {
	for i := 0; i+1 < len(args); i += 2 {
		if key, ok := args[i].(string); ok && key == name {
			if value, ok := args[i+1].(string); ok {
				return value, true
			}
			return fmt.Sprint(args[i+1]), true
		}
	}
	return "", false
}

// catalog returns the texts of a language, or those of [Default].
func (s *set) catalog(lang string) *catalog {
	if c, ok := s.catalogs[lang]; ok {
		return c
	}
	return s.catalogs[Default]
}

// parse reads a file system laid out as the package comment says.
func parse(fsys fs.FS) (*set, error) {
	dirs, err := fs.ReadDir(fsys, "lang")
	if err != nil {
		return nil, err
	}
	s := &set{catalogs: map[string]*catalog{}, tags: []string{Default}}
	tags := []language.Tag{language.Make(Default)}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		c, err := parseLanguage(fsys, d.Name())
		if err != nil {
			return nil, err
		}
		s.catalogs[d.Name()] = c
		if d.Name() != Default {
			s.tags = append(s.tags, d.Name())
			tags = append(tags, c.tag)
		}
	}
	if s.catalogs[Default] == nil {
		return nil, fmt.Errorf("no texts for %q", Default)
	}
	s.matcher = language.NewMatcher(tags)
	for name, c := range s.catalogs {
		if err := c.parseTemplates(fsys, name, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// parseLanguage reads the texts of one language.
func parseLanguage(fsys fs.FS, name string) (*catalog, error) {
	tag, err := language.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("lang/%s: %w", name, err)
	}
	c := &catalog{tag: tag, texts: map[string]string{}}
	names, err := fs.Glob(fsys, path.Join("lang", name, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		texts := map[string]string{}
		if err := json.Unmarshal(data, &texts); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for k, v := range texts {
			if _, twice := c.texts[k]; twice {
				return nil, fmt.Errorf("%s: %q is in two files", file, k)
			}
			c.texts[k] = v
		}
	}
	return c, nil
}

// parseTemplates parses pages and mails with the functions of one language.
func (c *catalog) parseTemplates(fsys fs.FS, lang string, s *set) error {
	text := func(key string, args ...any) string { return s.text(lang, key, args...) }
	funcs := map[string]any{"t": text, "lang": func() string { return lang }}
	parts, err := fs.Glob(fsys, "pages/parts/*.html")
	if err != nil {
		return err
	}
	if c.pages, err = parseHTML(fsys, "pages/*.html", parts, funcs); err != nil {
		return err
	}
	if c.html, err = parseHTML(fsys, "mail/*.html", nil, funcs); err != nil {
		return err
	}
	for _, t := range c.html {
		settle(t.Tree.Root, text, template.HTMLEscapeString)
	}
	names, err := fs.Glob(fsys, "mail/*.txt")
	if err != nil {
		return err
	}
	c.plain = map[string]*texttemplate.Template{}
	for _, name := range names {
		base := path.Base(name)
		t, err := texttemplate.New(base).Funcs(funcs).Option("missingkey=error").ParseFS(fsys, name)
		if err != nil {
			return err
		}
		settle(t.Root, text, func(s string) string { return s })
		c.plain[strings.TrimSuffix(base, ".txt")] = t
	}
	return nil
}

// parseHTML parses each file that matches pattern together with the parts.
func parseHTML(fsys fs.FS, pattern string, parts []string, funcs template.FuncMap) (map[string]*template.Template, error) {
	names, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, err
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		base := path.Base(name)
		t, err := template.New(base).Funcs(funcs).Option("missingkey=error").ParseFS(fsys, append([]string{name}, parts...)...)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(base, ".html")] = t
	}
	return out, nil
}
