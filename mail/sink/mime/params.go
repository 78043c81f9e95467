package mime

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// describe reads the Content-… fields of a part.
func (w *walker) describe(header []Field, defaultType string) Part {
	p := Part{Header: header, ContentType: defaultType, Encoding: "7bit"}
	var name string
	if v := get(header, "Content-Type"); v != "" {
		mediaType, params, more := parseParams(v, w.lim.Params)
		if more {
			w.problem("Content-Type has more than %d parameters", w.lim.Params)
		}
		if strings.Count(mediaType, "/") == 1 && mediaType[0] != '/' && mediaType[len(mediaType)-1] != '/' {
			p.ContentType = mediaType
		} else {
			w.problem("Content-Type %q is not type/subtype (RFC 2045 section 5.1)", label(mediaType))
		}
		p.Charset, name = params["charset"], params["name"]
	}
	if v := get(header, "Content-Transfer-Encoding"); v != "" {
		encoding, _, _ := parseParams(v, 0)
		switch encoding {
		case "7bit", "8bit", "binary", "base64", "quoted-printable":
			p.Encoding = encoding
		default:
			w.problem("Content-Transfer-Encoding %q is unknown (RFC 2045 section 6.1)", label(encoding))
		}
	}
	if v := get(header, "Content-Disposition"); v != "" {
		disposition, params, more := parseParams(v, w.lim.Params)
		if more {
			w.problem("Content-Disposition has more than %d parameters", w.lim.Params)
		}
		// RFC 2183 section 2.8: an unknown disposition is an attachment.
		p.Disposition = "attachment"
		if disposition == "inline" {
			p.Disposition = "inline"
		}
		if f := params["filename"]; f != "" {
			name = f
		}
	}
	p.FileName = cleanName(name)
	p.ContentID = strings.Trim(get(header, "Content-ID"), "<> \t")
	return p
}

// cleanName makes a file name of a mail fit to be shown: one path element
// without control, format or separator characters, at most 200 bytes.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == ':' || r == utf8.RuneError:
			return '_'
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimLeft(strings.TrimSpace(s), ".")
	for len(s) > 200 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// parseParams splits a structured value such as that of Content-Type into its
// first word, in lower case, and its parameters (RFC 2045 section 5.1), with
// the continuations and character sets of RFC 2231. It takes what it can from
// broken values; the first of two parameters of one name wins. more reports
// that there were parameters beyond the limit.
func parseParams(s string, limit int) (first string, params map[string]string, more bool) {
	first, s, _ = strings.Cut(s, ";")
	if i := strings.IndexByte(first, '('); i >= 0 {
		first = first[:i]
	}
	first = strings.ToLower(strings.TrimSpace(first))
	params = map[string]string{}
	var pieces map[string]string // RFC 2231: "name*0*" and the like
	for count := 0; s != ""; count++ {
		if count >= limit {
			return first, joinPieces(params, pieces, limit), true
		}
		var name, value string
		name, value, s = nextParam(s)
		switch _, known := params[name]; {
		case name == "" || known:
		case strings.Contains(name, "*"):
			if pieces == nil {
				pieces = map[string]string{}
			}
			if _, known := pieces[name]; !known {
				pieces[name] = value
			}
		default:
			params[name] = decodeWords(value)
		}
	}
	return first, joinPieces(params, pieces, limit), false
}

// nextParam reads "name=value" up to the next semicolon outside quotes.
func nextParam(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t")
	eq := strings.IndexAny(s, "=;")
	if eq < 0 {
		return "", "", ""
	}
	if s[eq] == ';' {
		return "", "", s[eq+1:]
	}
	name = strings.ToLower(strings.TrimSpace(s[:eq]))
	s = strings.TrimLeft(s[eq+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return name, strings.TrimSpace(value), rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	if i < len(s) {
		_, rest, _ = strings.Cut(s[i+1:], ";")
	}
	return name, b.String(), rest
}

// joinPieces puts the parameters of RFC 2231 together and adds them.
func joinPieces(params, pieces map[string]string, limit int) map[string]string {
	for name := range pieces {
		base, _, _ := strings.Cut(name, "*")
		if _, done := params[base]; done || base == "" {
			continue
		}
		if v, ok := pieces[base+"*"]; ok {
			params[base] = decodeExtended(v)
			continue
		}
		var b strings.Builder
		charset := ""
		for n := range limit {
			key := base + "*" + itoa(n)
			v, plain := pieces[key]
			if !plain {
				var extended bool
				if v, extended = pieces[key+"*"]; !extended {
					break
				}
				if n == 0 {
					charset, v = cutCharset(v)
				}
				v = percentDecode(v)
			}
			b.WriteString(v)
		}
		if b.Len() > 0 {
			params[base] = toUTF8(charset, []byte(b.String()))
		}
	}
	return params
}

// decodeExtended reads charset'language'percent-encoded (RFC 2231 section 4).
func decodeExtended(v string) string {
	charset, v := cutCharset(v)
	return toUTF8(charset, []byte(percentDecode(v)))
}

func cutCharset(v string) (charset, rest string) {
	charset, after, ok := strings.Cut(v, "'")
	if !ok {
		return "", v
	}
	if _, rest, ok = strings.Cut(after, "'"); !ok {
		return "", v
	}
	return charset, rest
}

func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexDigit[s[i+1]] >= 0 && hexDigit[s[i+2]] >= 0 {
			b = append(b, byte(hexDigit[s[i+1]])<<4|byte(hexDigit[s[i+2]]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}
