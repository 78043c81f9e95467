package mailpit

import (
	"strings"
	"unicode"
)

// Client is a mail client as html-check speaks of it.
type Client struct {
	Name, Family, Platform string
}

// Clients are the mail clients of html-check, in the order of the letters in
// the table of features.
//
// The table is this project's own: what is commonly known of the clients, by
// no test of ours and no list of others. It is short and will age; where it
// warns, look at the mail in the client itself.
var Clients = []Client{
	{"Apple Mail (macOS)", "Apple Mail", "macos"},
	{"Apple Mail (iOS)", "Apple Mail", "ios"},
	{"Gmail (web)", "Gmail", "desktop-webmail"},
	{"Gmail (Android)", "Gmail", "android"},
	{"Gmail (iOS)", "Gmail", "ios"},
	{"Outlook (Windows, classic)", "Outlook", "windows"},
	{"Outlook (web and new Outlook)", "Outlook", "outlook-com"},
	{"Yahoo! Mail (web)", "Yahoo! Mail", "desktop-webmail"},
	{"Thunderbird (desktop)", "Thunderbird", "desktop"},
	{"Samsung Email (Android)", "Samsung Email", "android"},
}

// feature is something a mail may use and a client may not know.
type feature struct {
	// kind is where to look: e element, a attribute, i source of a picture, l
	// linked sheet, @ rule, s selector, p property or its value.
	kind byte
	// look is what to look for. Of a property: its name, or name=word for a
	// word of the value, or =word for a word of any value, or =unit: for a
	// number with that unit.
	look    string
	title   string
	support string // a letter for each of Clients: y yes, p partial, n no
	note    string
}

// features is the table. What all clients know is not in it.
var features = []feature{
	{'e', "audio", "<audio>", "yynnnnnnyn", "Link to the recording instead."},
	{'e', "video", "<video>", "yynnnnnnyp", "Show a still picture that links to the film."},
	{'e', "form", "<form>", "yypppnnnpp", "Link to a page with the form."},
	{'e', "input", "<input>", "yypppnnnpp", "Link to a page with the form."},
	{'e', "select", "<select>", "yypppnnnpp", "Link to a page with the form."},
	{'e', "textarea", "<textarea>", "yypppnnnpp", "Link to a page with the form."},
	{'e', "button", "<button>", "yyyyypyyyy", "Use a link that looks like a button."},
	{'e', "script", "<script>", "nnnnnnnnnn", "No mail client runs scripts, and filters mistrust them."},
	{'e', "iframe", "<iframe>", "nnnnnnnnnn", "No mail client shows frames."},
	{'e', "object", "<object>", "nnnnnnnnnn", "No mail client shows embedded objects."},
	{'e', "embed", "<embed>", "nnnnnnnnnn", "No mail client shows embedded objects."},
	{'e', "canvas", "<canvas>", "nnnnnnnnnn", "It needs a script, which no mail client runs."},
	{'e', "svg", "<svg>", "yynnnnnnyp", "Use a PNG picture."},
	{'e', "picture", "<picture>", "yynnnnnnyp", "Its <img> is what most clients show."},
	{'e', "details", "<details>", "yynnnnnnyp", "Show the text at once."},
	{'e', "dialog", "<dialog>", "ppnnnnnnpp", "Show the text at once."},
	{'e', "meter", "<meter>", "yynnnnnnyp", "Write the figure."},
	{'e', "progress", "<progress>", "yynnnnnnyp", "Write the figure."},
	{'e', "style", "<style>", "yyyppyyyyy", "Gmail leaves it out for accounts of others, and if it is long; repeat what matters in style attributes."},
	{'e', "base", "<base>", "ppnnnnnnpp", "Write whole URLs."},
	{'l', "stylesheet", "linked style sheet", "yynnnnnnyp", "Put the styles into the mail."},
	{'a', "srcset", "srcset attribute", "yynnnnnnyy", "Other clients show src."},
	{'a', "background", "background attribute", "yyyyynyyyy", "Choose a background colour as well."},
	{'i', "data:", "picture in a data: URL", "yynnnnnnyy", "Attach the picture and refer to it by cid:."},
	{'i', ".svg", "SVG picture", "yynnnnnpyp", "Use a PNG picture."},
	{'i', ".webp", "WebP picture", "yyyyynyyyy", "Use a PNG or JPEG picture."},
	{'i', ".avif", "AVIF picture", "yypppnppyp", "Use a PNG or JPEG picture."},
	{'@', "media", "@media", "yyyppnypyy", "Let the mail read well without it."},
	{'@', "media=prefers-color-scheme", "@media (prefers-color-scheme)", "yynnnnpnyn", "Choose colours that survive being inverted."},
	{'@', "font-face", "@font-face", "yynnnnnnyy", "Name a common font after it."},
	{'@', "import", "@import", "yynnnnnnyp", "Put the styles into the mail."},
	{'@', "keyframes", "@keyframes", "yynnnnnnyy", "Let the mail read well without it."},
	{'@', "supports", "@supports", "yynnnnnnyy", "Let the mail read well without it."},
	{'s', ":hover", ":hover", "yyynnnyyyn", "Let the mail read well without it."},
	{'s', ":nth-child", ":nth-child", "yynnnnnpyy", "Give the elements a class."},
	{'s', ":before", "::before", "yynnnnnnyy", "Write the text into the mail."},
	{'s', ":after", "::after", "yynnnnnnyy", "Write the text into the mail."},
	{'s', ":root", ":root", "yynnnnnnyy", "Repeat the values."},
	{'p', "display=flex", "display: flex", "yypppnpnyy", "Use a table."},
	{'p', "display=grid", "display: grid", "yynnnnpnyy", "Use a table."},
	{'p', "position", "position", "yynnnnnnyp", "Use a table."},
	{'p', "float", "float", "yyyyypyyyy", "Use a table."},
	{'p', "gap", "gap", "yypppnpnyy", "Use padding."},
	{'p', "margin", "margin", "yyyyyppyyy", "Classic Outlook knows it on few elements, and no negative ones are safe; use padding of table cells."},
	{'p', "padding", "padding", "yyyyypyyyy", "Classic Outlook knows it on table cells only."},
	{'p', "max-width", "max-width", "yyyyynyyyy", "Set the width of a table for classic Outlook."},
	{'p', "min-width", "min-width", "yyyyynyyyy", "Set the width of a table for classic Outlook."},
	{'p', "max-height", "max-height", "yyyyynyyyy", "Set the height."},
	{'p', "min-height", "min-height", "yyyyynyyyy", "Set the height."},
	{'p', "box-sizing", "box-sizing", "yyyyynyyyy", "Do without it."},
	{'p', "object-fit", "object-fit", "yynnnnnpyy", "Cut the picture to size."},
	{'p', "aspect-ratio", "aspect-ratio", "yynnnnnnyy", "Set width and height."},
	{'p', "background-image", "background-image", "yyyyynyyyy", "Choose a background colour as well."},
	{'p', "background-size", "background-size", "yyyyynyyyy", "Choose a picture that fits."},
	{'p', "=linear-gradient", "linear-gradient()", "yyyyynyyyy", "Choose a background colour as well."},
	{'p', "border-radius", "border-radius", "yyyyynyyyy", "Corners are square in classic Outlook."},
	{'p', "box-shadow", "box-shadow", "yynnnnpnyy", "Let the mail look well without it."},
	{'p', "text-shadow", "text-shadow", "yynnnnpyyy", "Let the mail read well without it."},
	{'p', "opacity", "opacity", "yypppnyyyy", "Choose a lighter colour."},
	{'p', "transform", "transform", "yynnnnnnyy", "Let the mail look well without it."},
	{'p', "transition", "transition", "yynnnnnnyy", "Let the mail look well without it."},
	{'p', "animation", "animation", "yynnnnnnyy", "Let the mail look well without it."},
	{'p', "filter", "filter", "yynnnnnnyy", "Change the picture itself."},
	{'p', "clip-path", "clip-path", "yynnnnnnyy", "Change the picture itself."},
	{'p', "mix-blend-mode", "mix-blend-mode", "yynnnnnnyy", "Change the picture itself."},
	{'p', "overflow", "overflow", "yyyyynyyyy", "Let the text fit."},
	{'p', "=calc", "calc()", "yypppnppyy", "Write the result."},
	{'p', "=var", "var()", "yynnnnnnyy", "Write the value."},
	{'p', "=rgba", "rgba()", "yyyyynyyyy", "Choose a colour without transparency."},
	{'p', "=vw:", "unit vw", "yypppnyyyy", "Use px."},
	{'p', "=vh:", "unit vh", "yypppnpyyy", "Use px."},
	{'p', "=rem:", "unit rem", "yyyyynyyyy", "Use px."},
}

// category returns Mailpit's category of a feature.
func (f feature) category() string {
	if strings.IndexByte("eail", f.kind) >= 0 {
		return "html"
	}
	return "css"
}

// slug returns a name for programs.
func (f feature) slug() string {
	s := strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return ' '
	}, f.title)
	return f.category() + "-" + strings.Join(strings.Fields(strings.ToLower(s)), "-")
}

// matches reports whether something of the feature's kind, in lower case, is
// the feature.
func (f feature) matches(name, value string) bool {
	switch f.kind {
	case 'i':
		path, _, _ := strings.Cut(name, "?")
		return strings.HasPrefix(name, f.look) || strings.HasSuffix(path, f.look)
	case 's':
		return strings.Contains(name, f.look)
	}
	look, word, valued := strings.Cut(f.look, "=")
	switch {
	case look != "" && name != look && !f.longhand(name):
		return false
	case !valued:
		return true
	}
	if unit, ok := strings.CutSuffix(word, ":"); ok {
		return hasUnit(value, unit)
	}
	return strings.Contains(value, word)
}

// longhand reports whether a property is one of those below the feature's.
func (f feature) longhand(name string) bool {
	return f.kind == 'p' && shorthand[f.look] && strings.HasPrefix(name, f.look+"-")
}

// shorthand are properties that have others below their name.
var shorthand = map[string]bool{"margin": true, "padding": true, "overflow": true, "transition": true, "animation": true, "border-radius": true}

// hasUnit reports whether a value holds a number with the unit.
func hasUnit(value, unit string) bool {
	for rest := value; ; {
		at := strings.Index(rest, unit)
		if at < 0 {
			return false
		}
		after := rest[at+len(unit):]
		if at > 0 && rest[at-1] >= '0' && rest[at-1] <= '9' && (after == "" || after[0] < 'a' || after[0] > 'z') {
			return true
		}
		rest = after
	}
}
