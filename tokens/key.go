package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Alg is a signature algorithm by its JOSE name (RFC 7518, RFC 8037).
type Alg string

// The algorithms. EdDSA is the default: short, quick and deterministic.
const (
	EdDSA Alg = "EdDSA" // Ed25519
	ES256 Alg = "ES256"
	RS256 Alg = "RS256" // RSABits; making a key takes seconds
)

// RSABits is the smallest RSA key accepted, and the size of those we make.
const RSABits = 3072

// methods is every algorithm we sign and verify with.
var methods = map[Alg]jwt.SigningMethod{
	EdDSA: jwt.SigningMethodEdDSA,
	ES256: jwt.SigningMethodES256,
	RS256: jwt.SigningMethodRS256,
}

// key is one signing key. It is never changed, except by copying.
type key struct {
	id      string
	alg     Alg
	state   State
	created time.Time
	retires time.Time // when a retired key may be dropped; zero: not retired, or never
	private crypto.Signer
	public  crypto.PublicKey
}

// generate makes a key. For RS256 it takes from a fraction of a second to
// several.
func generate(alg Alg, state State, now time.Time) (*key, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, RSABits)
	default:
		return nil, fmt.Errorf("tokens: algorithm %q is not one of EdDSA, ES256, RS256", alg)
	}
	if err != nil {
		return nil, fmt.Errorf("tokens: make %s key: %w", alg, err)
	}
	return newKey(private, state, now)
}

// newKey gives a private key its id and algorithm, or says why it is not fit.
func newKey(private any, state State, created time.Time) (*key, error) {
	k := &key{state: state, created: created.UTC().Truncate(time.Second)}
	switch p := private.(type) {
	case ed25519.PrivateKey:
		k.alg, k.private = EdDSA, p
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("tokens: EC key is on %s, ES256 needs P-256", p.Curve.Params().Name)
		}
		k.alg, k.private = ES256, p
	case *rsa.PrivateKey:
		if n := p.N.BitLen(); n < RSABits {
			return nil, fmt.Errorf("tokens: RSA key has %d bits, at least %d are required", n, RSABits)
		}
		k.alg, k.private = RS256, p
	default:
		return nil, fmt.Errorf("tokens: a %T cannot sign tokens", private)
	}
	k.public = k.private.Public()
	j, err := k.jwk()
	if err != nil {
		return nil, err
	}
	k.id = j.thumbprint()
	return k, nil
}

// in returns k in another state.
func (k *key) in(s State, retires time.Time) *key {
	c := *k
	c.state, c.retires = s, retires
	return &c
}

// jwkJSON is a public key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
// There is no field for a private member.
type jwkJSON struct {
	Type  string `json:"kty"`
	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
	N     string `json:"n,omitempty"`
	E     string `json:"e,omitempty"`
	ID    string `json:"kid,omitempty"`
	Alg   Alg    `json:"alg,omitempty"`
	Use   string `json:"use,omitempty"`
}

func (k *key) jwk() (jwkJSON, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	j := jwkJSON{ID: k.id, Alg: k.alg, Use: "sig"}
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		j.Type, j.Curve, j.X = "OKP", "Ed25519", b64(p)
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, X, Y
		if err != nil {
			return j, fmt.Errorf("tokens: EC key: %w", err)
		}
		j.Type, j.Curve, j.X, j.Y = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		j.Type, j.N, j.E = "RSA", b64(p.N.Bytes()), b64(big.NewInt(int64(p.E)).Bytes())
	}
	return j, nil
}

// thumbprint returns the first 72 bits of the key's RFC 7638 thumbprint, as 12
// characters: enough to tell keys apart, short enough for a link.
func (j jwkJSON) thumbprint() string {
	members := map[string]string{"kty": j.Type} // the required ones; Marshal sorts them
	for name, value := range map[string]string{"crv": j.Curve, "x": j.X, "y": j.Y, "n": j.N, "e": j.E} {
		if value != "" {
			members[name] = value
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		panic("tokens: a map of strings does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// der returns the private key as PKCS #8.
func (k *key) der() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("tokens: encode key %s: %w", k.id, err)
	}
	return der, nil
}
