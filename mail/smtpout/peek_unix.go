//go:build linux || darwin || freebsd || netbsd || openbsd

package smtpout

import (
	"net"
	"syscall"
)

// peek asks the operating system whether an idle connection has been closed or
// written to by the other end. It answers known=false for connections that are
// not sockets.
func peek(nc net.Conn) (gone, known bool) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // tls.Conn
		nc = t.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true, true
	}
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		_, _, e := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK) // Go's sockets do not block
		gone = e != syscall.EAGAIN && e != syscall.EWOULDBLOCK && e != syscall.EINTR
		return true
	})
	return gone || err != nil, true
}
