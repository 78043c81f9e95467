// Package devca makes the certificates with which a laptop serves TLS: a
// certificate authority, kept in the data directory from the first start on,
// and short-lived certificates for the server itself, kept in memory. [Load]
// serves certificates from elsewhere instead.
//
// The authority refuses the internet: its name constraints (RFC 5280, section
// 4.2.1.10) admit the loopback addresses, the names localhost, example and
// test with everything below them, and what the operator named. Whoever steals
// its key cannot impersonate anybody else to those who trust it.
//
//	Open ──▶ ca.key, ca.pem ──signs──▶ certificate (30 days, in memory)
//	              └── replaced at start: under 30 days left, or a name not admitted
//
// It installs nothing in any trust store, and has no place in production.
package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	day      = 24 * time.Hour
	caLife   = 2 * 365 * day
	caSpare  = 30 * day // what must be left of the authority at a start
	leafLife = 30 * day
	leafAge  = 20 * day  // when a new one takes over
	skew     = time.Hour // how far clients' clocks may lag
)

// Options configures a [CA]. The zero value serves localhost.
type Options struct {
	Names []string         // DNS names and IP addresses besides localhost, 127.0.0.1 and ::1
	Now   func() time.Time // the clock that clients go by; nil means time.Now
}

// CA is a development certificate authority with the certificate it has
// issued to this server. It is safe for concurrent use.
type CA struct {
	dir  string
	now  func() time.Time
	dns  []string
	ips  []net.IP
	root *tls.Certificate

	mu   sync.Mutex
	leaf *tls.Certificate
}

// Open returns the authority kept in dir, a directory of mode 0700 that is made
// if need be. It makes the authority anew if a file is missing, if less than 30
// days of its life are left, or if it does not admit one of the names; clients
// then have to trust the new [CA.Path]. It refuses files that others can reach
// or that do not belong together; the error says what to do.
func Open(dir string, o Options) (*CA, error) {
	c := &CA{dir: dir, now: o.Now}
	if c.now == nil {
		c.now = time.Now
	}
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1"}, o.Names...) {
		if err := c.add(strings.ToLower(name)); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("devca: cannot make the directory of the authority: %w", err)
	}
	if err := private(dir, 0o700); err != nil {
		return nil, err
	}
	err := c.load()
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.stale() {
		err = c.create()
	}
	if err == nil {
		_, err = c.certificate(nil)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Path returns the file with the authority's certificate, for clients to trust.
func (c *CA) Path() string { return filepath.Join(c.dir, "ca.pem") }

func (c *CA) keyPath() string { return filepath.Join(c.dir, "ca.key") }

// CertificatePEM returns the authority's certificate.
func (c *CA) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.root.Leaf.Raw})
}

// TLSConfig returns a server's configuration: TLS 1.2 or later, and a
// certificate that is renewed between handshakes. The protocols are those of
// ALPN (RFC 7301), the preferred first.
func (c *CA) TLSConfig(nextProtos ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: nextProtos, GetCertificate: c.certificate}
}

var dnsName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$`)

// add puts a name on the certificate.
func (c *CA) add(name string) error {
	if ip := net.ParseIP(name); ip != nil {
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		c.ips = append(c.ips, ip)
		return nil
	}
	if len(name) > 253 || !dnsName.MatchString(name) {
		return fmt.Errorf("devca: Options.Names: %q must be an IP address or a DNS name such as dev.contoso.example, in ASCII, without port or wildcard", name)
	}
	c.dns = append(c.dns, name)
	return nil
}

// private refuses a file that anybody but its owner may use.
func private(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	if got := info.Mode().Perm(); got&^mode != 0 && runtime.GOOS != "windows" { // modes say nothing there
		return fmt.Errorf("devca: %s has mode %04o, so others can reach it; run: chmod %o %s", path, got, mode, path)
	}
	return nil
}

// load reads the authority; fs.ErrNotExist if there is none, or half of one.
func (c *CA) load() error {
	if err := private(c.keyPath(), 0o600); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.Path(), c.keyPath())
	if err == nil && !pair.Leaf.IsCA {
		err = errors.New("the certificate is not an authority's")
	}
	if err != nil {
		return fmt.Errorf("devca: cannot use %s with %s; delete both to have new ones made: %w", c.Path(), c.keyPath(), err)
	}
	c.root = &pair
	return nil
}

// stale reports whether clients will refuse what the authority signs, for its
// dates or for a name it does not admit, now or within caSpare.
func (c *CA) stale() bool {
	leaf, err := c.issue()
	if err != nil {
		return true
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.root.Leaf)
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.now()})
	return err != nil || c.root.Leaf.NotAfter.Before(c.now().Add(caSpare))
}

// create makes a new authority and keeps it.
func (c *CA) create() error {
	template := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign,
		Subject:                     pkix.Name{CommonName: "invited development CA " + c.now().UTC().Format(time.DateTime)},
		NotAfter:                    c.now().Add(caLife),
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         append([]string{"example", "test"}, c.dns...), // each with all below it
		PermittedIPRanges:           []*net.IPNet{{IP: net.IP{127, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}},
	}
	for _, ip := range c.ips {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
	var err error
	if c.root, err = c.sign(template, nil); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.root.PrivateKey)
	if err != nil {
		return fmt.Errorf("devca: %w", err)
	}
	// The certificate goes first and comes last: a crash in between leaves no
	// pair, which the next start makes, rather than one that does not match.
	for _, path := range []string{c.Path(), c.keyPath()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("devca: cannot replace the authority: %w", err)
		}
	}
	err = os.WriteFile(c.keyPath(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if err == nil {
		err = os.WriteFile(c.Path(), c.CertificatePEM(), 0o600) // public, but doctor wants the directory private throughout
	}
	if err != nil {
		return fmt.Errorf("devca: cannot keep the authority: %w", err)
	}
	return nil
}

// issue signs a certificate for the server's names.
func (c *CA) issue() (*tls.Certificate, error) {
	return c.sign(&x509.Certificate{
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		Subject:               pkix.Name{Organization: []string{"invited development certificate"}},
		NotAfter:              c.now().Add(leafLife),
		DNSNames:              c.dns,
		IPAddresses:           c.ips,
	}, c.root)
}

// sign makes a key and a certificate for it, self-signed if there is no parent.
// It vouches for servers only, not for mail or code.
func (c *CA) sign(template *x509.Certificate, parent *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("devca: %w", err)
	}
	if parent == nil {
		parent = &tls.Certificate{Leaf: template, PrivateKey: key}
	}
	template.NotBefore = c.now().Add(-skew)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Leaf, key.Public(), parent.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("devca: cannot sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// certificate returns the server's certificate, a new one in good time. It is
// a tls.Config.GetCertificate.
func (c *CA) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaf != nil && c.now().After(c.leaf.Leaf.NotBefore) && c.now().Before(c.leaf.Leaf.NotBefore.Add(leafAge)) {
		return c.leaf, nil
	}
	leaf, err := c.issue()
	if err == nil {
		c.leaf = leaf
	}
	return leaf, err
}
