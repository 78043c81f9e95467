package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientNetwork returns the network a request came from, for limits that count
// by it: the address itself, or the /64 of an IPv6 address, which one customer
// has. If the peer is this machine, it is a proxy in front of us, and the last
// hop of its X-Forwarded-For counts; nobody else's is believed. It is empty if
// there is no address.
func ClientNetwork(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	client := peer.Addr().Unmap()
	if hops := r.Header.Values("X-Forwarded-For"); client.IsLoopback() && len(hops) > 0 {
		last := hops[len(hops)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if a, err := netip.ParseAddr(last); err == nil {
			client = a.Unmap()
		}
	}
	if client.Is6() {
		if p, err := client.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return client.String()
}
