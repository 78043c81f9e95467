package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// purpose is what a token is for. No token serves two.
type purpose struct {
	typ      string // header typ, RFC 8725 section 3.11
	audience string // the only aud accepted; empty: the issuer decides
	limit    int    // longest token looked at, in bytes
}

var (
	ticketPurpose = purpose{typ: "invite+jwt", audience: "redeem", limit: 2 << 10}
	optOutPurpose = purpose{typ: "optout+jwt", audience: "optout", limit: 2 << 10}
	accessPurpose = purpose{typ: "at+jwt", limit: 8 << 10} // RFC 9068
)

// policy verifies and signs the tokens of one purpose.
type policy struct {
	purpose
	opts    Options
	parsers map[Alg]*jwt.Parser
}

// newPolicy makes one parser for each algorithm, so that a token is only ever
// verified by the method of the key it names.
func newPolicy(p purpose, issuer string, o Options) *policy {
	parsers := make(map[Alg]*jwt.Parser, len(methods))
	for alg, method := range methods {
		opts := []jwt.ParserOption{
			jwt.WithValidMethods([]string{method.Alg()}),
			jwt.WithStrictDecoding(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(o.Leeway),
			jwt.WithTimeFunc(o.Now),
		}
		if issuer != "" {
			opts = append(opts, jwt.WithIssuer(issuer))
		}
		if p.audience != "" {
			opts = append(opts, jwt.WithAudience(p.audience))
		}
		parsers[alg] = jwt.NewParser(opts...)
	}
	return &policy{purpose: p, opts: o, parsers: parsers}
}

// sign returns the token with these claims. A token that open would refuse for
// its length is not signed.
func (p *policy) sign(claims any) (string, error) {
	k, err := p.opts.Keys.signer()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("tokens: encode claims: %w", err)
	}
	t := jwt.Token{
		Method: methods[k.alg],
		Header: map[string]any{"alg": string(k.alg), "kid": k.id, "typ": p.typ},
		Claims: &encoded{raw: body},
	}
	text, err := t.SigningString()
	if err != nil {
		return "", fmt.Errorf("tokens: encode: %w", err)
	}
	sig, err := t.Method.Sign(text, k.private)
	if err != nil {
		return "", fmt.Errorf("tokens: sign with key %s: %w", k.id, err)
	}
	if k.alg == ES256 {
		lowS(sig)
	}
	token := text + "." + base64.RawURLEncoding.EncodeToString(sig)
	if len(token) > p.limit {
		return "", fmt.Errorf("tokens: the claims make a token of %d bytes, the limit is %d", len(token), p.limit)
	}
	return token, nil
}

// open verifies everything about a token but its expiry, and returns its
// claims.
func (p *policy) open(token string) (*payload, error) {
	k, err := p.screen(token)
	if err != nil {
		return nil, err
	}
	claims := new(payload)
	_, err = p.parsers[k.alg].ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return k.public, nil })
	switch {
	case err == nil:
		return claims, nil
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, ErrSignature
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, ErrMalformed
	default:
		return nil, ErrClaims
	}
}

// screen does what can be done before any cryptography: shape, header, key.
func (p *policy) screen(token string) (*key, error) {
	header, signature, err := split(token, p.limit)
	if err != nil {
		return nil, err
	}
	h, err := readHeader(header)
	if err != nil {
		return nil, err
	}
	if h.typ != p.typ {
		return nil, fmt.Errorf("%w: typ is not that of this purpose", ErrMalformed)
	}
	return authority(p.opts.Keys.verifier, h, signature)
}

// authority returns the key that has to have signed a token with this header,
// or an error if no key can have.
func authority(lookup func(kid string) *key, h header, signature string) (*key, error) {
	k := lookup(h.kid)
	if k == nil {
		return nil, ErrUnknownKey
	}
	if h.alg != string(k.alg) {
		return nil, fmt.Errorf("%w: alg is not that of the key", ErrSignature)
	}
	if k.alg == ES256 {
		if raw, err := strict64.DecodeString(signature); err != nil || !isLowS(raw) {
			return nil, fmt.Errorf("%w: not in low-s form", ErrSignature)
		}
	}
	return k, nil
}

// strict64 refuses padding and spare bits. It still skips CR and LF, which
// split has refused before.
var strict64 = base64.RawURLEncoding.Strict()

// split cuts a compact JWS (RFC 7515 section 7.1) into the two segments needed
// before verification.
func split(token string, limit int) (header, signature string, err error) {
	if len(token) > limit {
		return "", "", fmt.Errorf("%w: longer than %d bytes", ErrMalformed, limit)
	}
	for i := range len(token) {
		if c := token[i]; c != '.' && !base64url(c) {
			return "", "", fmt.Errorf("%w: a character that is not base64url", ErrMalformed)
		}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", fmt.Errorf("%w: not three segments", ErrMalformed)
	}
	return parts[0], parts[2], nil
}

func base64url(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// header is the protected header of a token of ours.
type header struct {
	alg, kid, typ string
}

// readHeader decodes a header that has the members alg, kid and typ, or a
// subset; what is absent is empty, which nothing matches.
func readHeader(segment string) (header, error) {
	raw, err := strict64.DecodeString(segment)
	if err != nil {
		return header{}, fmt.Errorf("%w: header is not base64url", ErrMalformed)
	}
	members, err := strictObject(raw)
	if err != nil {
		return header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	var h header
	known := map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &h.typ}
	for name, value := range members {
		into, ok := known[name]
		if !ok {
			return header{}, fmt.Errorf("%w: header member not allowed", ErrMalformed)
		}
		if *into, ok = asString(value); !ok {
			return header{}, fmt.Errorf("%w: header member is not a string", ErrMalformed)
		}
	}
	return h, nil
}

var (
	errNotObject = errors.New("not one JSON object")
	errDuplicate = errors.New("a member occurs twice")
	errName      = errors.New("a member's name is not lower case")
)

// strictObject decodes one JSON object. It refuses what encoding/json lets
// pass: a name that occurs twice, and a name that would match another one if
// case were ignored. Names are therefore limited to a-z, 0-9 and _.
func strictObject(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	members := make(map[string]json.RawMessage, 12)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errNotObject
		}
		if !plainName(name) {
			return nil, errName
		}
		if _, twice := members[name]; twice {
			return nil, errDuplicate
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errNotObject
		}
		members[name] = value
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, errNotObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotObject
	}
	return members, nil
}

func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}

// expired reports whether now is past exp and the leeway. The zero time never
// expires.
func (p *policy) expired(exp time.Time) bool {
	return !exp.IsZero() && !p.opts.Now().Before(exp.Add(p.opts.Leeway))
}

// p256Order and p256Half are the order of P-256 and half of it (FIPS 186-4
// D.1.2.3).
var (
	p256Order, _ = new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	p256Half     = new(big.Int).Rsh(p256Order, 1)
)

// lowS rewrites an ES256 signature (r, s) to the one of (r, s) and (r, n-s)
// with the lower s. Both verify; we want a token to have one spelling.
func lowS(sig []byte) {
	if isLowS(sig) {
		return
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(p256Order, s).FillBytes(sig[32:])
}

// isLowS reports whether sig is an ES256 signature with s in the lower half.
func isLowS(sig []byte) bool {
	return len(sig) == 64 && new(big.Int).SetBytes(sig[32:]).Cmp(p256Half) <= 0
}
