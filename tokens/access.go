package tokens

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// DefaultAudience is the "aud" of access tokens that name no other.
const DefaultAudience = "graph"

// AccessClaims is what an access token says. The claim names are those of
// Microsoft identity platform access tokens; jti is RFC 9068's.
type AccessClaims struct {
	Tenant   string    // required; claim tid
	Subject  string    // required; claims sub and oid: the object id of the person or the application
	AppID    string    // claim appid: the client that asked
	AppName  string    // claim app_displayname
	UPN      string    // claim upn; empty for applications
	Name     string    // claim name; empty for applications
	Roles    []string  // claim roles: application permissions
	Scopes   []string  // claim scp: delegated permissions, none with a space
	JTI      string    // claim jti; empty when issuing means a random one
	Issued   time.Time // claims iat and nbf, whole seconds; zero when issuing means now
	Expires  time.Time // required; claim exp, whole seconds
	Audience string    // claim aud; empty when issuing means DefaultAudience
	Issuer   string    // claim iss; empty when issuing means Options.Name
}

// AccessIssuer signs and verifies access tokens. It is safe for concurrent use.
//
// The same server is reached under several origins and names itself after the
// one it was asked under, so Verify does not compare iss and aud to one value:
// the ring proves that the token is ours, typ that it is an access token. It
// returns both claims for callers that have an opinion.
type AccessIssuer struct {
	policy *policy
}

// NewAccessIssuer returns an issuer of access tokens, or an error that names
// the option at fault.
func NewAccessIssuer(o Options) (*AccessIssuer, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	return &AccessIssuer{policy: newPolicy(accessPurpose, "", o)}, nil
}

// accessJSON is an access token's payload.
type accessJSON struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Subject   string   `json:"sub"`
	ObjectID  string   `json:"oid"`
	Tenant    string   `json:"tid"`
	AppID     string   `json:"appid,omitempty"`
	AppName   string   `json:"app_displayname,omitempty"`
	UPN       string   `json:"upn,omitempty"`
	Name      string   `json:"name,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Scopes    string   `json:"scp,omitempty"`
	ID        string   `json:"jti"`
	Issued    int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	Version   string   `json:"ver"`
}

// Issue returns a signed access token, or an error that names the field at
// fault. It waits if the ring is still making its first key.
func (i *AccessIssuer) Issue(c AccessClaims) (string, error) {
	p := i.policy
	if c.Expires.IsZero() {
		return "", fmt.Errorf("tokens: Expires is zero: access tokens expire")
	}
	issued, expires, err := p.span(c.Issued, c.Expires)
	if err != nil {
		return "", err
	}
	if c.Audience == "" {
		c.Audience = DefaultAudience
	}
	if c.Audience == ticketPurpose.audience {
		return "", fmt.Errorf("tokens: Audience %q is that of tickets", c.Audience)
	}
	if c.Issuer == "" {
		c.Issuer = p.opts.Name
	}
	if c.JTI == "" {
		c.JTI = rand.Text()
	}
	if err := c.check(); err != nil {
		return "", err
	}
	return p.sign(accessJSON{
		Issuer: c.Issuer, Audience: c.Audience, Subject: c.Subject, ObjectID: c.Subject, Tenant: c.Tenant,
		AppID: c.AppID, AppName: c.AppName, UPN: c.UPN, Name: c.Name,
		Roles: c.Roles, Scopes: strings.Join(c.Scopes, " "),
		ID: c.JTI, Issued: issued, NotBefore: issued, Expires: expires, Version: "1.0",
	})
}

// check refuses what would not come back from Verify as it went in.
func (c AccessClaims) check() error {
	if err := requireText([]field{{"Tenant", c.Tenant}, {"Subject", c.Subject}}); err != nil {
		return err
	}
	texts := []field{
		{"AppID", c.AppID}, {"AppName", c.AppName}, {"UPN", c.UPN}, {"Name", c.Name},
		{"JTI", c.JTI}, {"Audience", c.Audience}, {"Issuer", c.Issuer},
	}
	for _, r := range c.Roles {
		texts = append(texts, field{"Roles", r})
	}
	for _, s := range c.Scopes {
		if s == "" || strings.Contains(s, " ") {
			return fmt.Errorf("tokens: Scopes has an entry that is empty or contains a space")
		}
		texts = append(texts, field{"Scopes", s})
	}
	return requireUTF8(texts)
}

// Verify returns what the access token says if it is ours. The error is
// [ErrInvalid], or [ErrExpired] together with the claims.
func (i *AccessIssuer) Verify(token string) (AccessClaims, error) {
	body, err := i.policy.open(token)
	if err != nil {
		return AccessClaims{}, err
	}
	c, err := readAccessClaims(body)
	if err != nil {
		return AccessClaims{}, err
	}
	if c.Audience == ticketPurpose.audience {
		return AccessClaims{}, fmt.Errorf("%w: aud", ErrClaims)
	}
	if i.policy.expired(c.Expires) {
		return c, ErrExpired
	}
	return c, nil
}

func readAccessClaims(body *payload) (c AccessClaims, err error) {
	required := map[string]*string{
		"iss": &c.Issuer, "aud": &c.Audience, "sub": &c.Subject, "tid": &c.Tenant, "jti": &c.JTI,
	}
	for name, into := range required {
		if *into, err = body.text(name); err != nil {
			return AccessClaims{}, err
		}
	}
	var scopes string
	optional := map[string]*string{
		"appid": &c.AppID, "app_displayname": &c.AppName, "upn": &c.UPN, "name": &c.Name, "scp": &scopes,
	}
	for name, into := range optional {
		if *into, err = body.optional(name); err != nil {
			return AccessClaims{}, err
		}
	}
	if scopes != "" {
		c.Scopes = strings.Split(scopes, " ")
	}
	if c.Roles, err = body.texts("roles"); err != nil {
		return AccessClaims{}, err
	}
	if c.Issued, err = body.moment("iat"); err != nil {
		return AccessClaims{}, err
	}
	if c.Expires, err = body.moment("exp"); err != nil {
		return AccessClaims{}, err
	}
	return c, nil
}
