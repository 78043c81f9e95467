package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/web"
)

func TestClientNetwork(t *testing.T) {
	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"a peer", "192.0.2.7:5", nil, "192.0.2.7"},
		{"a peer is not believed", "192.0.2.7:5", []string{"198.51.100.1"}, "192.0.2.7"},
		{"a proxy on this machine is", "127.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"only its own hop counts", "127.0.0.1:5", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"in the last header", "127.0.0.1:5", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"nonsense of a proxy", "127.0.0.1:5", []string{"unknown"}, "127.0.0.1"},
		{"this machine itself", "[::1]:5", nil, "::/64"},
		{"a mapped address", "[::ffff:192.0.2.7]:5", nil, "192.0.2.7"},
		{"a customer's whole network", "[2001:db8:1:2:3:4:5:6]:5", nil, "2001:db8:1:2::/64"},
		{"a zone", "[fe80::1%eth0]:5", nil, "fe80::/64"},
		{"no address", "pipe", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			for _, v := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", v)
			}
			require.Equal(t, tt.want, web.ClientNetwork(r))
		})
	}
}
