package mailpit

import (
	"net/http"
	"strings"

	"golang.org/x/net/html"

	"invited/server/problem"
	"invited/server/web"
)

type htmlCheckJSON struct {
	Warnings  []warningJSON
	Platforms map[string][]string // platform: families
	Total     struct {
		Tests, Nodes                    int
		Supported, Partial, Unsupported float64 // percent
	}
}

type warningJSON struct {
	Slug          string
	Title         string
	Description   string
	URL           string
	Category      string // css or html
	Tags          []string
	Keywords      string
	Results       []supportJSON
	NotesByNumber map[string]string
	Score         scoreJSON
}

type supportJSON struct {
	Name       string
	Platform   string
	Family     string
	Version    string
	Support    string // yes, no or partial
	NoteNumber string
}

type scoreJSON struct {
	Found                           int
	Supported, Partial, Unsupported float64 // percent of the clients
}

// checkHTML serves GET /api/v1/message/{id}/html-check, by the table of
// [Clients] and features.
func (h *Handler) checkHTML(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	if m.HTML == "" {
		return problem.BadField("mailpit.checkHTML", "message", "message does not contain HTML")
	}
	return web.WriteJSON(w, http.StatusOK, judgeHTML(m.HTML))
}

// judgeHTML looks for every feature of the table.
func judgeHTML(source string) htmlCheckJSON {
	count, nodes := countFeatures(source)
	out := htmlCheckJSON{Warnings: []warningJSON{}, Platforms: map[string][]string{}}
	for _, c := range Clients {
		out.Platforms[c.Platform] = append(out.Platforms[c.Platform], c.Family)
	}
	weight, partial, unsupported := float64(nodes), 0.0, 0.0
	for i, f := range features {
		if count[i] == 0 {
			continue
		}
		warning := f.warning(count[i])
		out.Warnings = append(out.Warnings, warning)
		found := float64(count[i])
		partial += found * warning.Score.Partial
		unsupported += found * warning.Score.Unsupported
		weight = max(weight, found)
	}
	t := &out.Total
	t.Tests, t.Nodes = len(features), nodes
	t.Unsupported = min(100, unsupported/max(1, weight))
	t.Partial = min(100-t.Unsupported, partial/max(1, weight))
	t.Supported = 100 - t.Partial - t.Unsupported
	return out
}

// warning says how the clients treat a feature.
func (f feature) warning(found int) warningJSON {
	w := warningJSON{
		Slug: f.slug(), Title: f.title, Description: f.note, Category: f.category(), Tags: []string{},
		NotesByNumber: map[string]string{}, Score: scoreJSON{Found: found},
	}
	share := 100 / float64(len(Clients))
	for i, c := range Clients {
		s := supportJSON{Name: c.Name, Platform: c.Platform, Family: c.Family, Version: "current"}
		switch f.support[i] {
		case 'y':
			s.Support = "yes"
			w.Score.Supported += share
		case 'p':
			s.Support = "partial"
			w.Score.Partial += share
		default:
			s.Support = "no"
			w.Score.Unsupported += share
		}
		w.Results = append(w.Results, s)
	}
	return w
}

// Limits of what is read of one document.
const (
	maxNodes        = 100_000
	maxAttributes   = 50 // of one tag
	maxDeclarations = 50_000
)

// countFeatures returns how often each feature occurs, and how many elements
// there are.
func countFeatures(source string) (count []int, nodes int) {
	count = make([]int, len(features))
	see := func(kind byte, name, value string) {
		for i, f := range features {
			if f.kind == kind && f.matches(name, value) {
				count[i]++
			}
		}
	}
	css := styles{see: see, left: maxDeclarations}
	scanHTML(source, func(tag string, attrs map[string]string) {
		nodes++
		see('e', tag, "")
		for name, value := range attrs {
			see('a', name, value)
			if name == "style" {
				css.declarations(value)
			}
		}
		if tag == "img" {
			see('i', strings.ToLower(attrs["src"]), "")
		}
		if tag == "link" && strings.EqualFold(attrs["rel"], "stylesheet") {
			see('l', "stylesheet", "")
		}
	}, css.sheet)
	return count, nodes
}

// scanHTML calls element for each start tag and sheet for each style element.
// It reads tokens and builds no tree, so that nesting costs nothing.
func scanHTML(source string, element func(tag string, attrs map[string]string), sheet func(css string)) {
	z := html.NewTokenizer(strings.NewReader(source))
	inStyle := false
	for n := 0; n < maxNodes; {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if inStyle && sheet != nil {
				sheet(string(z.Text()))
			}
		case html.EndTagToken:
			inStyle = false
		case html.StartTagToken, html.SelfClosingTagToken:
			n++
			name, more := z.TagName()
			tag, attrs := string(name), map[string]string{}
			for more && len(attrs) < maxAttributes {
				var k, v []byte
				if k, v, more = z.TagAttr(); len(k) > 0 {
					attrs[string(k)] = string(v)
				}
			}
			inStyle = tag == "style"
			element(tag, attrs)
		}
	}
}

// styles reads CSS, roughly: enough to see which properties, rules and
// selectors there are.
type styles struct {
	see  func(kind byte, name, value string)
	left int // declarations and rules still read
}

// sheet reads a style sheet.
func (s *styles) sheet(css string) {
	css = strings.ToLower(withoutComments(css))
	for css != "" && s.left > 0 {
		end := strings.IndexAny(css, "{};")
		if end < 0 {
			s.declarations(css)
			return
		}
		piece, delimiter := strings.TrimSpace(css[:end]), css[end]
		css = css[end+1:]
		switch {
		case strings.HasPrefix(piece, "@"):
			s.left--
			name, rest, _ := strings.Cut(piece[1:], " ")
			s.see('@', name, rest)
		case delimiter == '{':
			s.left--
			s.see('s', piece, "")
		default:
			s.declarations(piece)
		}
	}
}

// declarations reads property: value pairs.
func (s *styles) declarations(css string) {
	for one := range strings.SplitSeq(strings.ToLower(css), ";") {
		name, value, ok := strings.Cut(one, ":")
		if !ok {
			continue
		}
		if s.left--; s.left < 0 {
			return
		}
		s.see('p', strings.TrimSpace(name), strings.TrimSpace(value))
	}
}

// withoutComments takes comments, and the comment marks that once hid style
// sheets, out.
func withoutComments(css string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(css, "/*")
		b.WriteString(before)
		if !found {
			break
		}
		if _, css, found = strings.Cut(rest, "*/"); !found {
			break
		}
		b.WriteByte(' ')
	}
	return strings.NewReplacer("<!--", "", "-->", "").Replace(b.String())
}

// Support says which of [Clients] show a mail's HTML as it is meant.
type Support struct {
	Supported, Partial, Unsupported float64 // percent
	Features                        []FeatureSupport
}

// FeatureSupport is something in the HTML that some clients do not show.
type FeatureSupport struct {
	Title, Note string
	Found       int
	No, Partly  []string // names of [Clients]
}

// CheckHTML is html-check for other faces.
func CheckHTML(source string) Support {
	judged := judgeHTML(source)
	out := Support{Supported: judged.Total.Supported, Partial: judged.Total.Partial, Unsupported: judged.Total.Unsupported}
	for _, warning := range judged.Warnings {
		f := FeatureSupport{Title: warning.Title, Note: warning.Description, Found: warning.Score.Found}
		for _, client := range warning.Results {
			switch client.Support {
			case "no":
				f.No = append(f.No, client.Name)
			case "partial":
				f.Partly = append(f.Partly, client.Name)
			}
		}
		out.Features = append(out.Features, f)
	}
	return out
}
