package main

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// TestDoctorAsksTheResolverThatIsNamed has a name server that knows one record.
func TestDoctorAsksTheResolverThatIsNamed(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: m.Questions}
			if q.Type == dnsmessage.TypeTXT && q.Name.String() == "contoso.example." {
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.TXTResource{TXT: []string{"v=spf1 ip4:192.0.2.10 -all"}},
				}}
			} else {
				answer.RCode = dnsmessage.RCodeNameError
			}
			if out, err := answer.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	var out strings.Builder
	code := run(env{ctx: t.Context(), stdout: &out, stderr: &out}, []string{
		"doctor", "--domain", "contoso.example", "--ip", "192.0.2.10", "--resolver", conn.LocalAddr().String(),
	})
	require.Equal(t, exitFailed, code, out.String())
	require.Contains(t, out.String(), "ok       SPF")
	require.Regexp(t, `PROBLEM +DKIM`, out.String())
	require.Regexp(t, `PROBLEM +PTR +192.0.2.10 has no name`, out.String())
}
