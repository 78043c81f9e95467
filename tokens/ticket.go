package tokens

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// Claims is what a ticket says.
type Claims struct {
	Tenant     string    // required; claim tid
	Subject    string    // required; claim sub, the guest's user id
	Invitation string    // required; claim iid
	Generation int       // claim gen: the set of links the ticket belongs to; not negative
	JTI        string    // required; claim jti, what the ticket is known by
	Issued     time.Time // claim iat, whole seconds; zero when issuing means now
	Expires    time.Time // claim exp, whole seconds; zero: never
}

// Issuer signs and verifies tickets. It is safe for concurrent use.
type Issuer struct {
	policy *policy
}

// NewIssuer returns an issuer of tickets, or an error that names the option at
// fault.
func NewIssuer(o Options) (*Issuer, error) { return newTicketIssuer(ticketPurpose, o) }

// NewOptOutIssuer returns an issuer of tickets that let a guest block further
// invitations, and nothing else: they have a typ and an aud of their own, so
// that neither kind passes for the other.
func NewOptOutIssuer(o Options) (*Issuer, error) { return newTicketIssuer(optOutPurpose, o) }

func newTicketIssuer(p purpose, o Options) (*Issuer, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	return &Issuer{policy: newPolicy(p, o.Name, o)}, nil
}

// ticketJSON is a ticket's payload.
type ticketJSON struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	Subject    string `json:"sub"`
	Tenant     string `json:"tid"`
	Invitation string `json:"iid"`
	Generation int    `json:"gen"`
	ID         string `json:"jti"`
	Issued     int64  `json:"iat"`
	Expires    int64  `json:"exp,omitempty"`
}

// Issue returns a signed ticket. The error names the claim at fault, or the key
// that could not sign. It waits if the ring is still making its first key.
func (i *Issuer) Issue(c Claims) (string, error) {
	p := i.policy
	issued, expires, err := p.span(c.Issued, c.Expires)
	if err != nil {
		return "", err
	}
	if c.Generation < 0 || c.Generation > math.MaxInt32 {
		return "", errors.New("tokens: Generation is negative or too large")
	}
	required := []field{{"Tenant", c.Tenant}, {"Subject", c.Subject}, {"Invitation", c.Invitation}, {"JTI", c.JTI}}
	if err := requireText(required); err != nil {
		return "", err
	}
	return p.sign(ticketJSON{
		Issuer: p.opts.Name, Audience: p.audience, Subject: c.Subject, Tenant: c.Tenant,
		Invitation: c.Invitation, Generation: c.Generation, ID: c.JTI, Issued: issued, Expires: expires,
	})
}

// Verify returns what the ticket says if it is ours and has the form of a
// ticket. The error is [ErrInvalid], or [ErrExpired] together with the claims.
func (i *Issuer) Verify(ticket string) (Claims, error) {
	body, err := i.policy.open(ticket)
	if err != nil {
		return Claims{}, err
	}
	c, err := readClaims(body)
	if err != nil {
		return Claims{}, err
	}
	if i.policy.expired(c.Expires) {
		return c, ErrExpired
	}
	return c, nil
}

func readClaims(body *payload) (c Claims, err error) {
	texts := []struct {
		name string
		into *string
	}{{"tid", &c.Tenant}, {"sub", &c.Subject}, {"iid", &c.Invitation}, {"jti", &c.JTI}}
	for _, t := range texts {
		if *t.into, err = body.text(t.name); err != nil {
			return Claims{}, err
		}
	}
	generation, err := body.number("gen")
	if err != nil || generation > math.MaxInt32 {
		return Claims{}, fmt.Errorf("%w: gen", ErrClaims)
	}
	c.Generation = int(generation)
	if c.Issued, err = body.moment("iat"); err != nil {
		return Claims{}, err
	}
	if c.Expires, err = body.expires(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// span turns a lifetime into iat and exp (0: never) and refuses one that could
// not be kept.
func (p *policy) span(issued, expires time.Time) (iat, exp int64, err error) {
	now := p.opts.Now()
	if issued.IsZero() {
		issued = now
	}
	if iat = issued.Unix(); iat <= 0 || iat > lastSecond {
		return 0, 0, errors.New("tokens: Issued is before 1970 or after 9999")
	}
	if issued.After(now.Add(p.opts.Leeway)) {
		return 0, 0, errors.New("tokens: Issued is in the future")
	}
	if !expires.IsZero() {
		if exp = expires.Unix(); exp <= iat || exp > lastSecond {
			return 0, 0, errors.New("tokens: Expires is not after Issued, or after 9999")
		}
	}
	return iat, exp, p.opts.Keys.outlives(now, expires)
}

// field is an input with the name it has in our structs.
type field struct{ name, value string }

// requireText refuses empty fields, and those that JSON would not carry
// unchanged.
func requireText(fields []field) error {
	for _, f := range fields {
		if f.value == "" {
			return fmt.Errorf("tokens: %s is empty", f.name)
		}
	}
	return requireUTF8(fields)
}

func requireUTF8(fields []field) error {
	for _, f := range fields {
		if !utf8.ValidString(f.value) {
			return fmt.Errorf("tokens: %s is not UTF-8", f.name)
		}
	}
	return nil
}
