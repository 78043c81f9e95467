package mail

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Path is the reverse-path or forward-path of an SMTP envelope, RFC 5321
// §4.1.2. The zero value is the null path, the sender of bounces.
//
// Unlike an [Address] it is whatever a foreign client may rightly say: the
// local part may need quoting, and the domain may be an address literal or
// missing.
type Path struct {
	Local  string // without quoting
	Domain string // as given; an address literal keeps its brackets; empty for the null path and the bare postmaster
}

// ParsePath reads a path with or without angle brackets. It takes the null
// path, the bare <postmaster>, quoted local parts and address literals; a
// source route is read and forgotten, as RFC 5321 appendix C asks. Text outside
// ASCII is taken: ask [Path.NeedsSMTPUTF8] whether the client had to announce
// it. Underscores in domains are taken too, because test machines have them.
// The error is a [*PathError].
func ParsePath(s string) (Path, error) {
	if rule := pathText(s); rule != "" {
		return Path{}, &PathError{Input: s, Rule: rule}
	}
	inner, open := strings.CutPrefix(s, "<")
	if open {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, ">"); !closed {
			return Path{}, &PathError{Input: s, Rule: "the closing angle bracket is missing"}
		}
	}
	if inner == "" {
		return Path{}, nil
	}
	if inner[0] == '@' {
		route, rest, ok := strings.Cut(inner, ":")
		if !ok || !isRoute(route) {
			return Path{}, &PathError{Input: s, Rule: "its source route is malformed"}
		}
		inner = rest
	}
	local, rest, rule := cutLocal(inner)
	if rule != "" {
		return Path{}, &PathError{Input: s, Rule: rule}
	}
	return newPath(s, local, rest)
}

// UnquotedPath reads a path whose local part has lost its quoting, as go-smtp
// hands it to a backend: everything before the last @ is the local part. The
// empty string is the null path. The error is a [*PathError].
func UnquotedPath(s string) (Path, error) {
	if rule := pathText(s); rule != "" {
		return Path{}, &PathError{Input: s, Rule: rule}
	}
	if s == "" {
		return Path{}, nil
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return newPath(s, s, "")
	}
	return newPath(s, s[:at], s[at:])
}

// newPath checks the parts of a path; rest is empty or begins with @.
func newPath(input, local, rest string) (Path, error) {
	refuse := func(rule string) (Path, error) { return Path{}, &PathError{Input: input, Rule: rule} }
	switch {
	case local == "":
		return refuse("nothing stands before the @")
	case len(local) > maxLocal:
		return refuse("the part before the @ is longer than 64 bytes")
	case rest == "" && strings.EqualFold(local, "postmaster"):
		return Path{Local: local}, nil
	case rest == "" || rest[0] != '@':
		return refuse("it has no domain")
	}
	p := Path{Local: local, Domain: rest[1:]}
	if !isPathDomain(p.Domain) {
		return refuse("what stands after the @ is neither a domain nor an address literal")
	}
	if len(p.String()) > maxAddress {
		return refuse("it is longer than 254 bytes")
	}
	return p, nil
}

// IsNull reports whether p is the null path <>.
func (p Path) IsNull() bool { return p == Path{} }

// IsPostmaster reports whether p is the bare postmaster, whom every server
// must take mail for (RFC 5321 §4.5.1).
func (p Path) IsPostmaster() bool { return p.Domain == "" && strings.EqualFold(p.Local, "postmaster") }

// NeedsSMTPUTF8 reports whether p may appear only in a transaction that was
// opened with SMTPUTF8 (RFC 6531 §3.4).
func (p Path) NeedsSMTPUTF8() bool { return !isASCII(p.Local) || !isASCII(p.Domain) }

// String returns the path as it goes on the wire, without angle brackets, its
// local part quoted if it has to be.
func (p Path) String() string {
	local := p.Local
	if local != "" && !isDotAtom(local) {
		local = quoteString(local)
	}
	if p.Domain == "" {
		return local
	}
	return local + "@" + p.Domain
}

// pathText returns what is wrong with the characters of a path. Hidden
// characters are as hostile here as anywhere: the path is listed and logged.
func pathText(s string) string {
	const longest = 1024 // with a source route
	if len(s) > longest {
		return "it is longer than 1,024 bytes"
	}
	if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf && isSpace(r) }) >= 0 {
		return "it holds a space of another alphabet"
	}
	return hostileText(s)
}

// cutLocal splits off the local part and returns it without quoting.
func cutLocal(s string) (local, rest, rule string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '@')
		if i < 0 {
			i = len(s)
		}
		if i > 0 && !isDotAtom(s[:i]) {
			return "", "", "the part before the @ has a misplaced dot or a character that needs quoting"
		}
		return s[:i], s[i:], ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], ""
		case '\\':
			if i++; i == len(s) || s[i] >= utf8.RuneSelf {
				return "", "", "a backslash in its quoted part quotes nothing"
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "its quotation mark is not closed"
}

// isRoute reports whether s is the A-d-l of RFC 5321: @one,@two.
func isRoute(s string) bool {
	for hop := range strings.SplitSeq(s, ",") {
		domain, ok := strings.CutPrefix(hop, "@")
		if !ok || !isPathDomain(domain) {
			return false
		}
	}
	return true
}

// isPathDomain reports whether s is a domain or an address literal.
func isPathDomain(s string) bool {
	if strings.HasPrefix(s, "[") {
		return isLiteral(s)
	}
	if s == "" || len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel && isASCII(label) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c < utf8.RuneSelf && c != '_' && !isLowerLDH(strings.ToLower(label[i:i+1])) {
				return false
			}
		}
	}
	return true
}

// isLiteral reports whether s is an address literal, RFC 5321 §4.1.3.
func isLiteral(s string) bool {
	s, closed := strings.CutSuffix(s[1:], "]")
	if !closed {
		return false
	}
	tag, rest, general := strings.Cut(s, ":")
	if !general {
		ip, err := netip.ParseAddr(s)
		return err == nil && ip.Is4()
	}
	if strings.EqualFold(tag, "IPv6") {
		ip, err := netip.ParseAddr(rest)
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	return isHostLabel(strings.ToLower(tag)) && rest != "" && plainASCII(rest) && !strings.ContainsAny(rest, `[]\ @<>`)
}
