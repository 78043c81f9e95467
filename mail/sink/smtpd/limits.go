package smtpd

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// limited is a listener that turns away what is over the limits, and hands on
// connections behind a gate.
type limited struct {
	net.Listener
	srv  *Server
	tls  bool // connections begin with TLS
	lmtp bool
}

// refusal is how long a client over the limit may take to read its reply.
const refusal = time.Second

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g, ok := l.srv.admit(c)
		if ok {
			g.lmtp = l.lmtp
			if l.tls {
				g.Conn, g.tls, g.shake = tls.Server(c, l.srv.opts.TLSConfig), true, true
				_ = c.SetReadDeadline(time.Now().Add(l.srv.opts.CommandTimeout)) // should it end before it begins
			}
			return g, nil
		}
		// A fresh socket takes this line without waiting for the client.
		if !l.tls {
			_ = c.SetWriteDeadline(time.Now().Add(refusal))
			_, _ = c.Write([]byte("421 4.7.0 too many connections, try again later\r\n"))
		}
		_ = c.Close()
	}
}

// admit counts a connection in, or reports that it is one too many.
func (s *Server) admit(c net.Conn) (*gate, bool) {
	ip, limit := "", s.opts.MaxPerLoopback
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		ip = a.Addr().Unmap().String()
		if !a.Addr().Unmap().IsLoopback() {
			limit = s.opts.MaxPerIP
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gates) >= s.opts.MaxConnections || s.perIP[ip] >= limit {
		return nil, false
	}
	s.perIP[ip]++
	g := newGate(c, s, ip)
	s.gates[g] = struct{}{}
	return g, true
}

// release counts a connection out.
func (s *Server) release(g *gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.gates[g]; !ok {
		return
	}
	delete(s.gates, g)
	if s.perIP[g.ip]--; s.perIP[g.ip] <= 0 {
		delete(s.perIP, g.ip)
	}
}
