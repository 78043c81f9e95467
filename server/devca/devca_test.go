package devca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/devca"
)

var t0 = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func TestHandshake(t *testing.T) {
	ca := open(t, t.TempDir(), devca.Options{Names: []string{"Mail.Contoso.example", "devbox", "192.0.2.7", "2001:db8::7"}})
	tests := []struct {
		name   string
		server string
		ok     bool
	}{
		{"the host name of this machine is served", "localhost", true},
		{"its IPv4 address is served", "127.0.0.1", true},
		{"its IPv6 address is served", "::1", true},
		{"its IPv6 address is served as URLs spell it", "[::1]", true},
		{"a name of the operator's is served in lower case", "mail.contoso.example", true},
		{"a name of the operator's outside of example and test is served", "devbox", true},
		{"an IPv4 address of the operator's is served", "192.0.2.7", true},
		{"an IPv6 address of the operator's is served", "2001:db8::7", true},
		{"a name that nobody asked for is not", "fabrikam.example", false},
		{"nor the address next door", "192.0.2.8", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, err := handshake(t, ca.TLSConfig("h2", "http/1.1"), &tls.Config{ServerName: tt.server, RootCAs: pool(t, ca), NextProtos: []string{"http/1.1"}})
			if !tt.ok {
				require.ErrorAs(t, err, new(x509.HostnameError))
				return
			}
			require.NoError(t, err)
			require.Equal(t, "http/1.1", state.NegotiatedProtocol)
		})
	}
	t.Run("a client of TLS 1.2 is served", func(t *testing.T) {
		_, err := handshake(t, ca.TLSConfig(), &tls.Config{ServerName: "localhost", RootCAs: pool(t, ca), MaxVersion: tls.VersionTLS12})
		require.NoError(t, err)
	})
	t.Run("a client of TLS 1.1 is refused", func(t *testing.T) {
		_, err := handshake(t, ca.TLSConfig(), &tls.Config{ServerName: "localhost", RootCAs: pool(t, ca), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		require.Error(t, err)
	})
}

// TestStolenKey signs with the authority's own key what it must not vouch for.
func TestStolenKey(t *testing.T) {
	dir := t.TempDir()
	ca := open(t, dir, devca.Options{Names: []string{"devbox"}})
	tests := []struct {
		name string
		leaf x509.Certificate
		ok   bool
	}{
		{"a name below localhost is believed", x509.Certificate{DNSNames: []string{"app.localhost"}}, true},
		{"a name in example is believed", x509.Certificate{DNSNames: []string{"www.fabrikam.example"}}, true},
		{"a name in test is believed", x509.Certificate{DNSNames: []string{"www.test"}}, true},
		{"another loopback address is believed", x509.Certificate{IPAddresses: []net.IP{{127, 9, 9, 9}}}, true},
		{"a name on the internet is refused", x509.Certificate{DNSNames: []string{"www.contoso.com"}}, false},
		{"a name that only ends like a permitted one is refused", x509.Certificate{DNSNames: []string{"notexample"}}, false},
		{"a wildcard is refused", x509.Certificate{DNSNames: []string{"*.com"}}, false},
		{"an address on the internet is refused", x509.Certificate{IPAddresses: []net.IP{{192, 0, 2, 1}}}, false},
		{"an IPv6 address on the internet is refused", x509.Certificate{IPAddresses: []net.IP{net.ParseIP("2001:db8::1")}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, name := stolen(t, dir, &tt.leaf)
			_, err := handshake(t, server, &tls.Config{ServerName: name, RootCAs: pool(t, ca)})
			if tt.ok {
				require.NoError(t, err)
				return
			}
			var invalid x509.CertificateInvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, x509.CANotAuthorizedForThisName, invalid.Reason)
		})
	}
}

func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed, so there is no second opinion on the certificates")
	}
	dir := t.TempDir()
	ca := open(t, dir, devca.Options{Names: []string{"devbox"}})
	verify := func(config *tls.Config, args ...string) error {
		cert, err := config.GetCertificate(nil)
		require.NoError(t, err)
		path := filepath.Join(dir, "leaf.pem")
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600))
		args = append([]string{"verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca.Path()}, append(args, path)...)
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	require.NoError(t, verify(ca.TLSConfig(), "-verify_hostname", "localhost"))
	require.NoError(t, verify(ca.TLSConfig(), "-verify_hostname", "devbox"))
	require.NoError(t, verify(ca.TLSConfig(), "-verify_ip", "127.0.0.1"))
	require.NoError(t, verify(ca.TLSConfig(), "-verify_ip", "::1"))
	rogue, _ := stolen(t, dir, &x509.Certificate{DNSNames: []string{"www.contoso.com"}})
	require.Error(t, verify(rogue, "-verify_hostname", "www.contoso.com"))
}

func TestOpenAgain(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		names []string
		spoil func(t *testing.T, dir string)
		same  bool
	}{
		{name: "the next start keeps the authority", after: day, same: true},
		{name: "it is kept while 30 days are left", after: 700 * day, same: true},
		{name: "it is replaced when fewer are left", after: 700*day + time.Second},
		{name: "it is replaced when it has expired", after: 3 * 365 * day},
		{name: "it is replaced when it is from the future", after: -day},
		{name: "a name it admits already changes nothing", names: []string{"www.contoso.example"}, same: true},
		{name: "a name it does not admit replaces it", names: []string{"devbox"}},
		{name: "an address it does not admit replaces it", names: []string{"192.0.2.7"}},
		{name: "a crash before the certificate was written is made good", spoil: remove("ca.pem")},
		{name: "a lost key is made good", spoil: remove("ca.key")},
		{name: "a published certificate is no harm", spoil: chmod("ca.pem", 0o644), same: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, now := filepath.Join(t.TempDir(), "data"), t0
			clock := func() time.Time { return now }
			first := open(t, dir, devca.Options{Now: clock}).CertificatePEM()
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			now = now.Add(tt.after)
			ca := open(t, dir, devca.Options{Now: clock, Names: tt.names})
			require.Equal(t, tt.same, string(first) == string(ca.CertificatePEM()))

			kept, err := os.ReadFile(ca.Path())
			require.NoError(t, err)
			require.Equal(t, string(ca.CertificatePEM()), string(kept))
			for _, name := range append(tt.names, "localhost") {
				_, err = handshake(t, ca.TLSConfig(), &tls.Config{ServerName: name, RootCAs: pool(t, ca), Time: clock})
				require.NoError(t, err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		spoil func(t *testing.T, dir string)
		modes bool
		says  []string
	}{
		{name: "a key that others can read", spoil: chmod("ca.key", 0o640), modes: true, says: []string{"ca.key", "0640", "chmod 600 "}},
		{name: "a key that others can read, even if it is to be replaced", modes: true, says: []string{"chmod 600 "},
			spoil: func(t *testing.T, dir string) { remove("ca.pem")(t, dir); chmod("ca.key", 0o644)(t, dir) }},
		{name: "a directory that others can read", spoil: chmod(".", 0o755), modes: true, says: []string{"0755", "chmod 700 "}},
		{name: "a key that is torn", spoil: write("ca.key", "-----BEGIN"), says: []string{"ca.key", "delete both"}},
		{name: "a certificate that is none", spoil: write("ca.pem", "hello"), says: []string{"ca.pem", "delete both"}},
		{name: "somebody else's key", says: []string{"delete both"}, spoil: func(t *testing.T, dir string) {
			other := t.TempDir()
			open(t, other, devca.Options{})
			require.NoError(t, os.Rename(filepath.Join(other, "ca.key"), filepath.Join(dir, "ca.key")))
		}},
		{name: "a server's certificate", says: []string{"not an authority's"}, spoil: func(t *testing.T, dir string) {
			certFile, keyFile := pair(t, dir, "localhost", t0)
			require.NoError(t, os.Rename(certFile, filepath.Join(dir, "ca.pem")))
			require.NoError(t, os.Rename(keyFile, filepath.Join(dir, "ca.key")))
		}},
		{name: "an empty name", names: []string{""}, says: []string{"Options.Names", `""`}},
		{name: "a name with a port", names: []string{"devbox:8443"}, says: []string{`"devbox:8443"`, "without port"}},
		{name: "a wildcard", names: []string{"*.contoso.example"}, says: []string{"wildcard"}},
		{name: "a URL", names: []string{"https://devbox"}, says: []string{"DNS name"}},
		{name: "an address with a zone", names: []string{"fe80::1%eth0"}, says: []string{"IP address"}},
		{name: "an address out of range", names: []string{"127.0.0.256"}, says: []string{"IP address"}},
		{name: "a name in other letters than ASCII", names: []string{"münchen.example"}, says: []string{"ASCII"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.modes && runtime.GOOS == "windows" {
				t.Skip("file modes say nothing on Windows")
			}
			dir := filepath.Join(t.TempDir(), "data")
			open(t, dir, devca.Options{})
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			ca, err := devca.Open(dir, devca.Options{Names: tt.names})
			require.Error(t, err)
			require.Nil(t, ca)
			for _, s := range tt.says {
				require.ErrorContains(t, err, s)
			}
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes say nothing on Windows")
	}
	dir := filepath.Join(t.TempDir(), "data")
	ca := open(t, dir, devca.Options{})
	require.Equal(t, filepath.Join(dir, "ca.pem"), ca.Path())
	for path, mode := range map[string]fs.FileMode{dir: 0o700, ca.Path(): 0o600, filepath.Join(dir, "ca.key"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestCertificateIsRenewedBetweenHandshakes(t *testing.T) {
	now := t0
	clock := func() time.Time { return now }
	ca := open(t, t.TempDir(), devca.Options{Now: clock})
	serial := func() string {
		state, err := handshake(t, ca.TLSConfig(), &tls.Config{ServerName: "localhost", RootCAs: pool(t, ca), Time: clock})
		require.NoError(t, err)
		return state.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	now = t0.Add(19 * day)
	require.Equal(t, first, serial(), "an early renewal")
	now = t0.Add(20 * day)
	second := serial()
	require.NotEqual(t, first, second, "no renewal")
	now = t0.Add(29 * day)
	require.Equal(t, second, serial())
	now = t0.Add(365 * day)
	require.NotEqual(t, second, serial(), "no renewal after a long sleep")
}

func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := pair(t, dir, "one.example", time.Now())
		config, err := devca.Load(certFile, keyFile)
		require.NoError(t, err)
		require.EqualValues(t, tls.VersionTLS12, config.MinVersion)
		serves := func(name string) {
			t.Helper()
			cert, err := config.GetCertificate(nil)
			require.NoError(t, err)
			require.NoError(t, cert.Leaf.VerifyHostname(name))
		}
		serves("one.example")

		pair(t, dir, "two.example", time.Now())
		<-time.After(time.Minute - time.Second)
		serves("one.example") // looked less than a minute ago
		<-time.After(time.Second)
		serves("two.example")

		next, _ := pair(t, t.TempDir(), "three.example", time.Now())
		require.NoError(t, os.Rename(next, certFile)) // its key is still to come
		<-time.After(time.Minute)
		serves("two.example")
		pair(t, dir, "four.example", time.Now())
		<-time.After(time.Minute)
		serves("four.example")
	})
}

func TestLoadRefuses(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certFile, keyFile := pair(t, dir, "one.example", now)
	_, otherKey := pair(t, t.TempDir(), "one.example", now)
	oldCert, oldKey := pair(t, t.TempDir(), "one.example", now.Add(-60*day))
	newCert, newKey := pair(t, t.TempDir(), "one.example", now.Add(60*day))
	tests := []struct {
		name, cert, key string
		says            []string
	}{
		{"a certificate without a key", certFile, "", []string{"both must be named"}},
		{"a key without a certificate", "", keyFile, []string{"both must be named"}},
		{"a certificate that is not there", filepath.Join(dir, "none.pem"), keyFile, []string{"none.pem"}},
		{"a key that is not there", certFile, filepath.Join(dir, "none.key"), []string{"none.key"}},
		{"the key of another certificate", certFile, otherKey, []string{certFile, otherKey}},
		{"the two the wrong way round", keyFile, certFile, []string{"must be a certificate and its unencrypted key"}},
		{"a certificate that has expired", oldCert, oldKey, []string{oldCert, "renew it"}},
		{"a certificate that is not good yet", newCert, newKey, []string{newCert, "clock"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := devca.Load(tt.cert, tt.key)
			require.Error(t, err)
			for _, s := range tt.says {
				require.ErrorContains(t, err, s)
			}
		})
	}
}

func open(t *testing.T, dir string, o devca.Options) *devca.CA {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o700)) // t.TempDir is open to all
	ca, err := devca.Open(dir, o)
	require.NoError(t, err)
	return ca
}

// pool returns the roots of a client that trusts the authority.
func pool(t *testing.T, ca *devca.CA) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca.CertificatePEM()))
	return roots
}

// handshake connects over loopback and returns what the client makes of it.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	defer func() { l.Close(); <-done }()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	return c.ConnectionState(), nil
}

// stolen returns a server with a certificate signed by the authority in dir,
// and the name it goes by.
func stolen(t *testing.T, dir string, leaf *x509.Certificate) (*tls.Config, string) {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf.NotBefore, leaf.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.Leaf, key.Public(), ca.PrivateKey)
	require.NoError(t, err)
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	name := "any.com" // matches a wildcard
	if len(leaf.IPAddresses) > 0 {
		name = leaf.IPAddresses[0].String()
	} else if leaf.DNSNames[0][0] != '*' {
		name = leaf.DNSNames[0]
	}
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }}, name
}

// pair writes a self-signed certificate of 30 days and its key.
func pair(t *testing.T, dir, name string, from time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{DNSNames: []string{name}, NotBefore: from.Add(-time.Hour), NotAfter: from.Add(30 * day)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write("tls.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))(t, dir)
	write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))(t, dir)
	return filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key")
}

func write(name, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, name))) }
}

func chmod(name string, mode fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, name), mode)) }
}
