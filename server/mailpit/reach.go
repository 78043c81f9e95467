package mailpit

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// errUnreachable says that an address must not be called.
var errUnreachable = errors.New("this address must not be called")

// reach says which addresses may be called.
type reach func(netip.Addr) bool

func reachLoopback(a netip.Addr) bool { return a.IsLoopback() }

func reachPublic(a netip.Addr) bool {
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

func reachPublicAndLoopback(a netip.Addr) bool { return reachLoopback(a) || reachPublic(a) }

// special are the blocks in which nobody answers whom a stranger may call,
// besides those netip knows. Source: the registries of RFC 6890.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // an IPv4 address of any kind may be inside
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// transport returns a transport that calls only addresses within reach, which
// is decided when names are resolved already, and goes through no proxy.
func transport(within reach) *http.Transport {
	dialer := &net.Dialer{
		Timeout: webhookTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %w", errUnreachable, err)
			}
			if !within(to.Addr().Unmap().WithZone("")) {
				return fmt.Errorf("%w: %s", errUnreachable, to.Addr())
			}
			return nil
		},
	}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: webhookTimeout, ResponseHeaderTimeout: webhookTimeout,
		MaxIdleConns: 4, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
	}
}

// loopbackHost reports whether a host is this machine by its very name.
func loopbackHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
