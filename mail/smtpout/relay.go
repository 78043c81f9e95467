package smtpout

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// relay is a parsed Options.Relay.
type relay struct {
	addr       string // host:port
	host       string
	tls        bool // from the first byte (RFC 8314)
	user, pass string
}

// parseRelay reads a relay URL. Its errors name the part at fault, never the
// URL, which may hold a password.
func parseRelay(raw string, token bool) (relay, error) {
	if raw == "" {
		return relay{}, errors.New("smtpout: Options.Relay is empty")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return relay{}, errors.New("smtpout: Options.Relay is not a URL of the form smtp://host:port")
	}
	var r relay
	port := "25"
	switch u.Scheme {
	case "smtp":
	case "smtps":
		r.tls, port = true, "465"
	default:
		return relay{}, errors.New("smtpout: Options.Relay begins neither with smtp:// nor with smtps://")
	}
	if strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
		return relay{}, errors.New("smtpout: Options.Relay has something after the port")
	}
	r.host = u.Hostname()
	if r.host == "" || !wireSafe(r.host) {
		return relay{}, errors.New("smtpout: Options.Relay has no usable host")
	}
	if err := r.readUser(u.User, token); err != nil {
		return relay{}, err
	}
	if r.user != "" && !r.tls {
		port = "587"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return relay{}, fmt.Errorf("smtpout: Options.Relay has port %s, which is not between 1 and 65535", port)
	}
	r.addr = net.JoinHostPort(r.host, port)
	return r, nil
}

// readUser reads who logs in: a user with a password, or with a token.
func (r *relay) readUser(u *url.Userinfo, token bool) error {
	if u != nil {
		r.user = u.Username()
		r.pass, _ = u.Password()
	}
	switch {
	case token && (r.user == "" || r.pass != ""):
		return errors.New("smtpout: Options.Token is set, so Options.Relay has to have a user and no password")
	case !token && u != nil && (r.user == "" || r.pass == ""):
		return errors.New("smtpout: Options.Relay has a user or a password, but not both")
	}
	return nil
}

// loopback reports whether the relay is on this machine by its name alone.
func (r relay) loopback() bool {
	if strings.EqualFold(r.host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(r.host)
	return err == nil && ip.Unmap().IsLoopback()
}
