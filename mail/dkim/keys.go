package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// SecondSelector is what is added to the selector of the RSA key to name the
// Ed25519 key beside it: one name must not hold two keys (RFC 6376 section
// 3.6.2.2).
const SecondSelector = "-ed25519"

// Keys are the private keys of one sender. Either may be missing.
type Keys struct {
	RSA     *rsa.PrivateKey
	Ed25519 ed25519.PrivateKey
}

// Generate makes an RSA key of 2,048 bits and, if second is set, an Ed25519
// key.
func Generate(second bool) (k Keys, err error) {
	if k.RSA, err = rsa.GenerateKey(rand.Reader, Smallest); err != nil {
		return Keys{}, fmt.Errorf("dkim: %w", err)
	}
	if second {
		if _, k.Ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return Keys{}, fmt.Errorf("dkim: %w", err)
		}
	}
	return k, nil
}

// maxKeyFile is the size of the largest file of keys that is read, in bytes.
const maxKeyFile = 64 << 10

// ErrExposed says that other users can read a file of keys.
var ErrExposed = errors.New("dkim: other users can read the file; make its mode 0600")

// Load reads keys from a PEM file that nobody else can read.
func Load(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return Keys{}, fmt.Errorf("dkim: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Keys{}, fmt.Errorf("dkim: %w", err)
	case !info.Mode().IsRegular():
		return Keys{}, fmt.Errorf("dkim: %s is not a file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return Keys{}, fmt.Errorf("%w: %s", ErrExposed, path)
	case info.Size() > maxKeyFile:
		return Keys{}, fmt.Errorf("dkim: %s is too large for a file of keys", path)
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(f); err != nil {
		return Keys{}, fmt.Errorf("dkim: %w", err)
	}
	return ParsePEM(data.Bytes())
}

// ParsePEM reads keys from PEM blocks: PKCS #8 of either kind, or PKCS #1. A
// kind that is there twice, and a block that is no private key, are refused.
func ParsePEM(data []byte) (Keys, error) {
	var k Keys
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		key, err := parseBlock(block)
		if err != nil {
			return Keys{}, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			if k.RSA != nil {
				return Keys{}, errors.New("dkim: the file holds two RSA keys")
			}
			k.RSA = key
		case ed25519.PrivateKey:
			if k.Ed25519 != nil {
				return Keys{}, errors.New("dkim: the file holds two Ed25519 keys")
			}
			k.Ed25519 = key
		default:
			return Keys{}, fmt.Errorf("dkim: mail is signed with RSA and Ed25519 keys, not with %T", key)
		}
	}
	if k.RSA == nil && k.Ed25519 == nil {
		return Keys{}, errors.New("dkim: there is no private key in PEM")
	}
	return k, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		return key, nil
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		return key, nil
	default:
		return nil, fmt.Errorf("dkim: a PEM block is %q instead of a private key", strings.ToValidUTF8(block.Type, "?"))
	}
}

// PEM returns the keys as PKCS #8 in PEM.
func (k Keys) PEM() ([]byte, error) {
	var out []byte
	add := func(key any) error {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return fmt.Errorf("dkim: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
		return nil
	}
	if k.RSA != nil {
		if err := add(k.RSA); err != nil {
			return nil, err
		}
	}
	if k.Ed25519 != nil {
		if err := add(k.Ed25519); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Save writes the keys to a new file of mode 0600. It is [fs.ErrExist] if the
// file is there: a key that is in use is not to be lost.
func (k Keys) Save(path string) error {
	data, err := k.PEM()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("dkim: %s is there already: %w", path, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("dkim: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("dkim: %w", err)
	}
	return nil
}

// Record is a TXT record that publishes a key (RFC 6376 section 3.6).
type Record struct {
	Name  string // such as "s1._domainkey.contoso.example"
	Value string // such as "v=DKIM1; k=rsa; p=…"
}

func newRecord(selector, domain string, public crypto.PublicKey) (Record, error) {
	r := Record{Name: selector + "._domainkey." + domain}
	switch key := public.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return Record{}, fmt.Errorf("dkim: %w", err)
		}
		r.Value = "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	case ed25519.PublicKey:
		r.Value = "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	default:
		return Record{}, fmt.Errorf("dkim: no key of type %T is published", public)
	}
	return r, nil
}

// Zone returns the record as a line of a zone file, its value in strings of
// 255 bytes at most (RFC 1035 section 3.3).
func (r Record) Zone() string {
	var b strings.Builder
	b.WriteString(r.Name + ". TXT")
	for rest := r.Value; rest != ""; {
		n := min(len(rest), 255)
		b.WriteString(` "` + rest[:n] + `"`)
		rest = rest[n:]
	}
	return b.String()
}
