package directory

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"invited/server/problem"
)

// MaxRedirectURL is how long an inviteRedirectUrl may be, in bytes.
const MaxRedirectURL = 2048

// CheckRedirect returns raw in the form it is stored and redirected to: parsed
// once and written again, its host an A-label in lower case, its path at least
// "/". It accepts absolute https URLs, and http ones for loopback hosts, whose
// host the policy allows. Anything a browser might read differently from us is
// a problem with reason BadRedirect.
func CheckRedirect(raw string, p Policy) (string, error) {
	if len(raw) > MaxRedirectURL {
		return "", badRedirect(fmt.Sprintf("it is longer than %d characters", MaxRedirectURL))
	}
	if strings.ContainsFunc(raw, foreignToURL) {
		return "", badRedirect("it contains a space, a backslash or a control character")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", badRedirect("it is not a URL")
	}
	if u.Opaque != "" || u.Host == "" || u.Hostname() == "" {
		return "", badRedirect("it is not absolute; write https:// and a host")
	}
	if u.User != nil {
		return "", badRedirect("it carries a user name")
	}
	host, loopback, err := redirectHost(u.Hostname())
	if err != nil {
		return "", badRedirect("its host is not a valid name or address")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return "", badRedirect("it must begin with https:// (http:// only for this machine)")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", badRedirect("its port is not a number from 1 to 65535")
		}
		host += ":" + port
	} else if strings.HasSuffix(u.Host, ":") {
		return "", badRedirect("its port is empty")
	}
	if !p.allowsHost(u.Hostname()) {
		return "", badRedirect("this organisation does not allow its host; an administrator can add it to the redirect hosts")
	}
	u.Host = host
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// redirectHost returns host as it is written in a URL, and whether it is this
// machine.
func redirectHost(host string) (written string, loopback bool, err error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", false, fmt.Errorf("address %s has a zone", host)
		}
		if ip.Is6() {
			return "[" + ip.String() + "]", ip.IsLoopback(), nil
		}
		return ip.String(), ip.IsLoopback(), nil
	}
	name, err := hostName(host)
	if err != nil {
		return "", false, err
	}
	return name, name == "localhost", nil
}

// allowsHost reports whether the policy allows redirects to host.
func (p Policy) allowsHost(host string) bool {
	if len(p.RedirectHosts) == 0 {
		return true
	}
	host, _, err := redirectHost(host)
	if err != nil {
		return false
	}
	for _, h := range p.RedirectHosts {
		if suffix, wild := strings.CutPrefix(h, "*"); wild && strings.HasSuffix(host, suffix) || h == host {
			return true
		}
	}
	return false
}

// hostName returns a host name as an A-label in lower case. Names that end in
// a number are refused: browsers read them as IPv4 addresses.
func hostName(name string) (string, error) {
	a, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", err
	}
	if a == "" || strings.HasPrefix(a, ".") || strings.HasSuffix(a, ".") || len(a) > 253 {
		return "", fmt.Errorf("%q is not a host name", name)
	}
	last := a[strings.LastIndexByte(a, '.')+1:]
	if strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%q ends in a number", name)
	}
	return a, nil
}

// foreignToURL reports whether r has no place in a URL.
func foreignToURL(r rune) bool {
	return r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
}

// badRedirect is the refusal of a redirect URL.
func badRedirect(why string) error {
	return &problem.Error{Op: "directory.CheckRedirect", Kind: problem.Invalid, Reason: problem.BadRedirect, Field: "inviteRedirectUrl",
		Detail: "Invalid value for inviteRedirectUrl: " + why + "."}
}
