package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// verifyJWS does what open does up to the claims, which the vectors have none
// of: shape, header, key, signature. Whatever the kid, the key is k.
func verifyJWS(token string, k *key) error {
	h, sig, err := split(token, accessPurpose.limit)
	if err != nil {
		return err
	}
	head, err := readHeader(h)
	if err != nil {
		return err
	}
	if _, err := authority(func(string) *key { return k }, head, sig); err != nil {
		return err
	}
	raw, err := strict64.DecodeString(sig)
	if err != nil {
		return ErrMalformed
	}
	return methods[k.alg].Verify(token[:strings.LastIndexByte(token, '.')], raw, k.public)
}

// stricter lists the vectors that are valid JWS and that we refuse on purpose.
var stricter = map[int]string{
	18:  "the signature is not in low-s form; 378 is its twin",
	259: "the payload is empty; a token has claims",
}

func TestWycheproofJWS(t *testing.T) {
	var groups []struct {
		Comment string
		Public  struct{ KTY, Alg, X, Y, N, E string }
		Tests   []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     string
			Result  string
		}
	}
	readJSON(t, "testdata/wycheproof/json_web_signature.json", &groups)
	total := 0
	for _, g := range groups {
		k := &key{alg: Alg(g.Public.Alg)}
		switch g.Public.KTY {
		case "EC":
			k.public = ecKey(t, g.Public.X, g.Public.Y)
		case "RSA":
			k.public = &rsa.PublicKey{N: integer(t, g.Public.N), E: int(integer(t, g.Public.E).Int64())}
		}
		for _, v := range g.Tests {
			total++
			t.Run(fmt.Sprintf("%s %d %s", g.Comment, v.ID, v.Comment), func(t *testing.T) {
				err := verifyJWS(v.JWS, k)
				if why := stricter[v.ID]; v.Result == "valid" && why == "" {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
				}
			})
		}
	}
	require.Equal(t, 272, total)
}

// TestWycheproofEd25519 lays each message and signature out as a JWS cannot:
// the vectors sign arbitrary bytes. So it tests the method we verify with.
func TestWycheproofEd25519(t *testing.T) {
	var groups []struct {
		PK    string
		Tests []struct {
			ID                        int `json:"tcId"`
			Comment, Msg, Sig, Result string
		}
	}
	readJSON(t, "testdata/wycheproof/ed25519.json", &groups)
	total := 0
	for _, g := range groups {
		var public crypto.PublicKey = ed25519.PublicKey(unhex(t, g.PK))
		for _, v := range g.Tests {
			total++
			t.Run(fmt.Sprintf("%d %s", v.ID, v.Comment), func(t *testing.T) {
				err := methods[EdDSA].Verify(string(unhex(t, v.Msg)), unhex(t, v.Sig), public)
				require.Equal(t, v.Result == "valid", err == nil, "%v", err)
			})
		}
	}
	require.Equal(t, 151, total)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(s)
	require.NoError(t, err)
	return raw
}

func integer(t *testing.T, s string) *big.Int {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	return new(big.Int).SetBytes(raw)
}

func ecKey(t *testing.T, x, y string) *ecdsa.PublicKey {
	t.Helper()
	point := make([]byte, 65)
	point[0] = 4
	integer(t, x).FillBytes(point[1:33])
	integer(t, y).FillBytes(point[33:])
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	require.NoError(t, err)
	return k
}
