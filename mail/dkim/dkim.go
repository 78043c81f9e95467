// Package dkim signs mail and checks signatures (RFC 6376, RFC 8463).
//
// It signs the way receivers want to be written to: RSA first, Ed25519 as a
// second signature for those who understand it, relaxed canonicalisation, and
// the fields a reader sees oversigned, so that nobody can put a second one on
// top of a signed mail and have it pass.
//
//	raw ──Signer.Sign──▶ DKIM-Signature: … ⏎ raw      bytes of raw unchanged
//	raw ──Verify(lookup)──▶ one Result per signature
//
// It asks no name server: whoever verifies passes the function that looks keys
// up. What a signature means for a sender's reputation is decided elsewhere.
package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// Smallest is the smallest RSA key that is signed with, in bits (RFC 8301
// section 3.2).
const Smallest = 2048

// Options configures a [Signer].
type Options struct {
	Domain   string // required; the domain that answers for the mail, in ASCII
	Selector string // required; the RSA key is published at SELECTOR._domainkey.DOMAIN

	Keys Keys // required: at least one of the two
}

// Signer signs mail. It is safe for concurrent use.
type Signer struct {
	records []Record
	options []dkim.SignOptions // in the order in which the signatures are to stand
}

// signed are the fields a signature covers. Each is named once more than a
// mail has it, so that one added later breaks the signature; a field that a
// relay may rightly add is not.
var (
	oversigned = []string{"From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Reply-To"}
	signed     = []string{
		"Cc", "MIME-Version", "Content-Transfer-Encoding", "Auto-Submitted", "In-Reply-To", "References",
		"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
	}
)

// NewSigner returns a signer, or an error that names the option at fault.
func NewSigner(o Options) (*Signer, error) {
	if !validDomain(o.Domain) || !strings.Contains(o.Domain, ".") {
		return nil, fmt.Errorf("dkim: Options.Domain %q is not a domain name", o.Domain)
	}
	if !validDomain(o.Selector) {
		return nil, fmt.Errorf("dkim: Options.Selector %q is not one or more labels of a domain name", o.Selector)
	}
	if o.Keys.RSA == nil && o.Keys.Ed25519 == nil {
		return nil, errors.New("dkim: Options.Keys has no key")
	}
	s := &Signer{}
	add := func(selector string, key crypto.Signer) error {
		record, err := newRecord(selector, o.Domain, key.Public())
		if err != nil {
			return err
		}
		s.records = append(s.records, record)
		s.options = append(s.options, dkim.SignOptions{
			Domain: o.Domain, Selector: selector, Signer: key,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
		return nil
	}
	if o.Keys.RSA != nil {
		if n := o.Keys.RSA.N.BitLen(); n < Smallest {
			return nil, fmt.Errorf("dkim: Options.Keys.RSA has %d bits instead of %d or more", n, Smallest)
		}
		if err := add(o.Selector, o.Keys.RSA); err != nil {
			return nil, err
		}
	}
	if o.Keys.Ed25519 != nil {
		selector := o.Selector
		if o.Keys.RSA != nil {
			selector += SecondSelector
		}
		if err := add(selector, o.Keys.Ed25519); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Records returns what must be published in the DNS for the signatures to be
// checked.
func (s *Signer) Records() []Record { return append([]Record(nil), s.records...) }

// Domain is the domain that answers for the mail.
func (s *Signer) Domain() string { return s.options[0].Domain }

// ErrHeader says that a mail cannot be signed because its header cannot be
// told apart from its body, has lines that end in LF alone, or has no From.
var ErrHeader = errors.New("dkim: the mail has no well-formed header with a From field")

// Sign returns raw with its signatures on top; raw itself is not changed. The
// time in them is that of the machine, in seconds.
func (s *Signer) Sign(raw []byte) ([]byte, error) {
	keys := headerKeys(raw)
	if keys == nil {
		return nil, ErrHeader
	}
	var top bytes.Buffer
	for i := range s.options {
		o := s.options[i] // a copy: NewSigner keeps it
		o.HeaderKeys = keys
		w, err := dkim.NewSigner(&o)
		if err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		_, writeErr := w.Write(raw)
		if err := errors.Join(writeErr, w.Close()); err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		top.WriteString(w.Signature())
	}
	return append(top.Bytes(), raw...), nil
}

// headerKeys returns the names for h= (RFC 6376 section 5.4.2), nil if raw
// cannot be signed.
func headerKeys(raw []byte) []string {
	header, _, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok || len(header) == 0 || header[0] == ' ' || header[0] == '\t' || bytes.Count(header, []byte("\n")) != bytes.Count(header, []byte("\r\n")) {
		return nil
	}
	count := map[string]int{}
	for line := range bytes.Lines(header) {
		if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if name, _, ok := bytes.Cut(line, []byte(":")); ok {
			count[strings.ToLower(string(bytes.TrimRight(name, " \t")))]++
		}
	}
	if count["from"] == 0 {
		return nil
	}
	var keys []string
	for _, name := range oversigned {
		for range count[strings.ToLower(name)] + 1 {
			keys = append(keys, name)
		}
	}
	for _, name := range signed {
		for range count[strings.ToLower(name)] {
			keys = append(keys, name)
		}
	}
	return keys
}

// validDomain reports whether s is a domain name of ASCII letters, digits,
// hyphens and underscores.
func validDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

var (
	_ crypto.Signer = (*rsa.PrivateKey)(nil)
	_ crypto.Signer = ed25519.PrivateKey(nil)
)
