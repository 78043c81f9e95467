package rules

import (
	"net/netip"
	"strconv"
	"strings"
)

// hostOf returns scheme and host of an absolute URL, in lower case, the host
// without user, port and brackets.
func hostOf(url string) (scheme, host string) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", ""
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if strings.HasPrefix(rest, "[") {
		rest, _, _ = strings.Cut(rest[1:], "]")
	} else if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		rest = rest[:i]
	}
	return strings.ToLower(scheme), strings.ToLower(strings.TrimSuffix(rest, "."))
}

// loopback reports whether host is this machine: links of an emulator are.
func loopback(host string) bool {
	if within(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// links returns the first link for which bad holds.
func (m *mail) links(bad func(scheme, host string) bool) (string, bool) {
	for _, l := range m.Links {
		scheme, host := hostOf(l.URL)
		if host != "" && bad(scheme, host) {
			return host, true
		}
	}
	return "", false
}

func linkToIP(m *mail) (string, bool) {
	return m.links(func(_, host string) bool {
		if host[len(host)-1] > '9' && !strings.Contains(host, ":") {
			return false
		}
		ip, err := netip.ParseAddr(host)
		return err == nil && !ip.IsLoopback()
	})
}

func linkHTTP(m *mail) (string, bool) {
	return m.links(func(scheme, host string) bool { return scheme == "http" && !loopback(host) })
}

var shorteners = map[string]bool{
	"bit.ly": true, "tinyurl.com": true, "t.co": true, "goo.gl": true, "ow.ly": true, "is.gd": true, "buff.ly": true, "rebrand.ly": true, "cutt.ly": true,
	"shorturl.at": true, "t.ly": true, "rb.gy": true, "tiny.cc": true, "lnkd.in": true, "s.id": true, "v.gd": true,
}

func linkShortener(m *mail) (string, bool) {
	return m.links(func(_, host string) bool { return shorteners[strings.TrimPrefix(host, "www.")] })
}

// longestURL is what every browser and mail client copes with, in bytes.
const longestURL = 2000

func longURL(m *mail) (string, bool) {
	for _, l := range m.Links {
		if len(l.URL) > longestURL {
			_, host := hostOf(l.URL)
			return host + ": " + strconv.Itoa(len(l.URL)) + " characters", true
		}
	}
	return "", false
}

// linkOtherDomain leaves out what other rules speak of: addresses, shorteners
// and this machine.
func linkOtherDomain(m *mail) (string, bool) {
	if m.fromDomain == "" {
		return "", false
	}
	from := registered(m.fromDomain)
	return m.links(func(scheme, host string) bool {
		if within(host, from) || scheme != "http" && scheme != "https" || loopback(host) || shorteners[strings.TrimPrefix(host, "www.")] {
			return false
		}
		_, err := netip.ParseAddr(host)
		return err != nil
	})
}

// registered cuts a host name to what its owner seems to have registered: two
// labels, or three if the second last is one that registries use.
func registered(host string) string {
	labels := strings.Split(host, ".")
	n := 2
	if len(labels) > 2 && len(labels[len(labels)-1]) == 2 {
		switch labels[len(labels)-2] {
		case "co", "com", "org", "net", "ac", "gov", "edu":
			n = 3
		}
	}
	return strings.Join(labels[max(0, len(labels)-n):], ".")
}

func linkMismatch(m *mail) (string, bool) {
	for _, l := range m.Links {
		shown := shownHost(l.Text)
		if shown == "" {
			continue
		}
		if _, host := hostOf(l.URL); host != "" && !related(strings.TrimPrefix(shown, "www."), strings.TrimPrefix(host, "www.")) {
			return shown + " leads to " + host, true
		}
	}
	return "", false
}

// shownHost returns the host that a link's text shows, if it shows one: the
// text is a URL, or one word that ends like a domain name.
func shownHost(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexByte(text, ' '); i >= 0 {
		text = text[:i]
		if !strings.Contains(text, "://") {
			return ""
		}
	}
	if strings.Contains(text, "://") {
		_, host := hostOf(text)
		return host
	}
	if strings.Contains(text, "@") {
		return ""
	}
	if _, host := hostOf("http://" + text); looksLikeDomain(host) {
		return host
	}
	return ""
}

// looksLikeDomain tells a domain from an ordinary word or a file name.
func looksLikeDomain(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	if dot <= 0 || len(host)-dot < 3 || isDigit(host[len(host)-1]) || programs[host[dot:]] || documents[host[dot:]] {
		return false
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r < 0x80 && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}

// documents are endings of file names that look like domains.
var documents = map[string]bool{".pdf": true, ".doc": true, ".docx": true, ".xls": true, ".xlsx": true, ".ppt": true, ".pptx": true, ".txt": true, ".csv": true, ".zip": true, ".html": true, ".htm": true, ".png": true, ".jpg": true}
