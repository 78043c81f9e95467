package devca

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"
)

// files is a certificate that somebody else keeps up to date.
type files struct {
	certFile, keyFile string

	mu      sync.Mutex
	checked time.Time
	cert    *tls.Certificate
}

// Load returns a server's configuration (TLS 1.2 or later) for a certificate
// with its chain, the server's first, and its key, both in PEM. A handshake a
// minute or more after the last look reads the files again; a pair that is not
// fit to serve, as when only one of them has been replaced, is passed over until
// the next look, and the old one goes on.
func Load(certFile, keyFile string) (*tls.Config, error) {
	if certFile == "" || keyFile == "" {
		return nil, errors.New("devca: the certificate and its key are two files, and both must be named")
	}
	f := &files{certFile: certFile, keyFile: keyFile, checked: time.Now()}
	if err := f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.certificate}, nil
}

// read takes over what the files hold, if it is fit to serve.
func (f *files) read() error {
	cert, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return fmt.Errorf("devca: %s and %s must be a certificate and its unencrypted key, in PEM: %w", f.certFile, f.keyFile, err)
	}
	if from, to := cert.Leaf.NotBefore, cert.Leaf.NotAfter; time.Now().Before(from) || time.Now().After(to) {
		return fmt.Errorf("devca: the certificate in %s is good from %s to %s, not now; renew it, or set the clock",
			f.certFile, from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	f.cert = &cert
	return nil
}

// certificate is a tls.Config.GetCertificate.
func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= time.Minute {
		f.checked = now
		_ = f.read() // the old pair serves on
	}
	return f.cert, nil
}
