package tokens

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// encoded is a payload that is already JSON, for signing.
type encoded struct {
	payload
	raw []byte
}

// MarshalJSON returns the payload.
func (e *encoded) MarshalJSON() ([]byte, error) { return e.raw, nil }

// payload is a token's claims as they were signed. It is decoded here and not
// into a struct, because encoding/json would ignore case and let the last of
// two equal names win.
type payload struct {
	members map[string]json.RawMessage
}

// UnmarshalJSON decodes the claims strictly.
func (p *payload) UnmarshalJSON(raw []byte) (err error) {
	if !utf8.Valid(raw) {
		return errNotObject
	}
	p.members, err = strictObject(raw)
	return err
}

// text returns a claim that has to be a non-empty string.
func (p *payload) text(name string) (string, error) {
	s, ok := asString(p.members[name])
	if !ok || s == "" {
		return "", fmt.Errorf("%w: %s", ErrClaims, name)
	}
	return s, nil
}

// optional returns a claim that has to be a string if it is there.
func (p *payload) optional(name string) (string, error) {
	if _, ok := p.members[name]; !ok {
		return "", nil
	}
	return p.text(name)
}

// texts returns a claim that has to be an array of strings if it is there.
func (p *payload) texts(name string) ([]string, error) {
	raw, ok := p.members[name]
	if !ok {
		return nil, nil
	}
	var list []string
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("%w: %s", ErrClaims, name)
	}
	return list, nil
}

// number returns a claim that has to be a whole number, written without
// fraction or exponent, and not negative.
func (p *payload) number(name string) (int64, error) {
	n, err := strconv.ParseUint(string(p.members[name]), 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", ErrClaims, name)
	}
	return int64(n), nil
}

// lastSecond is the end of the year 9999, the last time RFC 3339 can write.
const lastSecond = 253402300799

// moment returns a claim that has to be a time in seconds since 1970
// (NumericDate of RFC 7519, whole seconds).
func (p *payload) moment(name string) (time.Time, error) {
	n, err := p.number(name)
	if err != nil || n == 0 || n > lastSecond {
		return time.Time{}, fmt.Errorf("%w: %s", ErrClaims, name)
	}
	return time.Unix(n, 0).UTC(), nil
}

// expires returns exp, or the zero time if there is none.
func (p *payload) expires() (time.Time, error) {
	if _, ok := p.members["exp"]; !ok {
		return time.Time{}, nil
	}
	return p.moment("exp")
}

func asString(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// The methods below are the interface golang-jwt validates through.

// GetExpirationTime returns nothing: golang-jwt would report an expired token
// before it has looked at the other claims. The callers of open check exp.
func (p *payload) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuedAt returns iat, which is required.
func (p *payload) GetIssuedAt() (*jwt.NumericDate, error) {
	t, err := p.moment("iat")
	return jwt.NewNumericDate(t), err
}

// GetNotBefore returns nbf if there is one.
func (p *payload) GetNotBefore() (*jwt.NumericDate, error) {
	if _, ok := p.members["nbf"]; !ok {
		return nil, nil
	}
	t, err := p.moment("nbf")
	return jwt.NewNumericDate(t), err
}

// GetIssuer returns iss, which is required.
func (p *payload) GetIssuer() (string, error) { return p.text("iss") }

// GetSubject returns sub, which is required.
func (p *payload) GetSubject() (string, error) { return p.text("sub") }

// GetAudience returns aud, which has to be one string.
func (p *payload) GetAudience() (jwt.ClaimStrings, error) {
	s, err := p.text("aud")
	return jwt.ClaimStrings{s}, err
}
