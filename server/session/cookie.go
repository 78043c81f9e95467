package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"invited/server/directory"
	"invited/server/problem"
)

// Guest is what a browser keeps for a guest between two pages: what the link
// said, and how far the guest has come. It is sealed, so the browser can
// neither read nor change it; the server keeps nothing, so opening a link
// writes nothing.
type Guest struct {
	// ID is the session's, with at least 128 random bits: a passcode is good
	// for the session that asked for it. It changes with every link opened.
	ID string
	// Purpose is what the cookie was made for; empty: to redeem. A cookie
	// made for one page must not open another.
	Purpose string

	Tenant      directory.TenantID
	User        directory.UserID
	Invitation  string // invitation id
	Generation  int
	JTI         string
	Issued      time.Time
	LinkExpires time.Time // zero: never

	Method       directory.Method // how the guest has signed in; empty: not yet
	SignedIn     bool             // has accepted, and may see My Apps
	JustAccepted bool             // accepted in this session
	Redirect     string           // where the invitation leads; empty: My Apps
	CSRF         string           // the forms' hidden field
	Expires      time.Time        // end of the session; required
}

// guestJSON is a [Guest] inside the seal. Names are short: cookies travel with
// every request. Times are Unix milliseconds, 0 for none.
type guestJSON struct {
	ID          string `json:"k,omitempty"`
	Purpose     string `json:"p,omitempty"`
	Tenant      string `json:"t"`
	User        string `json:"u"`
	Invitation  string `json:"i"`
	Generation  int    `json:"g"`
	JTI         string `json:"j"`
	Issued      int64  `json:"a,omitempty"`
	LinkExpires int64  `json:"l,omitempty"`
	Method      string `json:"m,omitempty"`
	SignedIn    bool   `json:"s,omitempty"`
	Accepted    bool   `json:"n,omitempty"`
	Redirect    string `json:"r,omitempty"`
	CSRF        string `json:"c"`
	Expires     int64  `json:"e"`
}

// A sealed cookie is base64url of: version, key id, nonce, AES-256-GCM of
// guestJSON with version and key id as additional data. Without a redirect
// URL it is shorter than 1 KiB.
const (
	sealVersion = 1
	sealIDSize  = 4
	sealHeader  = 1 + sealIDSize

	// maxCookie is the most bytes browsers keep, less name and attributes.
	maxCookie = 3800
)

// newSeal returns the seal of a 32-byte key. Its id is the beginning of a hash,
// so every node that has the key finds it.
func newSeal(key []byte) (seal, error) {
	if len(key) != 32 {
		return seal{}, errors.New("not 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return seal{}, err
	}
	sum := sha256.Sum256(append([]byte("invited cookie key id\x00"), key...))
	return seal{id: [sealIDSize]byte(sum[:sealIDSize]), aead: aead}, nil
}

// SealCookie returns the value of the cookie that holds v.
func (s *Service) SealCookie(v Guest) (string, error) {
	if v.Expires.IsZero() {
		return "", errors.New("session: Guest.Expires is zero: sessions end")
	}
	plain, err := json.Marshal(guestJSON{
		ID: v.ID, Purpose: v.Purpose, Tenant: string(v.Tenant), User: string(v.User), Invitation: v.Invitation, Generation: v.Generation, JTI: v.JTI,
		Issued: toMillis(v.Issued), LinkExpires: toMillis(v.LinkExpires), Method: string(v.Method), SignedIn: v.SignedIn,
		Accepted: v.JustAccepted, Redirect: v.Redirect, CSRF: v.CSRF, Expires: toMillis(v.Expires),
	})
	if err != nil {
		return "", err
	}
	k := s.seals[0]
	header := append([]byte{sealVersion}, k.id[:]...)
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand since Go 1.24)
	value := base64.RawURLEncoding.EncodeToString(k.aead.Seal(append(header, nonce...), nonce, plain, header))
	if len(value) > maxCookie {
		return "", fmt.Errorf("session: the cookie would have %d bytes, more than the %d browsers keep", len(value), maxCookie)
	}
	return value, nil
}

// OpenCookie returns what a cookie holds. A cookie that was not sealed by us,
// was changed or is past its end is an Unauthenticated problem with reason
// SessionExpired; which of them it is, is not said.
func (s *Service) OpenCookie(value string) (Guest, error) {
	v, err := s.open(value)
	if err == nil && !s.now().Before(fromMillis(v.Expires)) {
		err = errors.New("past its end")
	}
	if err != nil {
		return Guest{}, &problem.Error{Op: "session.OpenCookie", Kind: problem.Unauthenticated, Reason: problem.SessionExpired,
			Detail: "This page was open for too long. Open the link in the mail again.", Err: fmt.Errorf("session: cookie: %w", err)}
	}
	return Guest{
		ID: v.ID, Purpose: v.Purpose, Tenant: directory.TenantID(v.Tenant), User: directory.UserID(v.User), Invitation: v.Invitation, Generation: v.Generation, JTI: v.JTI,
		Issued: fromMillis(v.Issued), LinkExpires: fromMillis(v.LinkExpires), Method: directory.Method(v.Method), SignedIn: v.SignedIn,
		JustAccepted: v.Accepted, Redirect: v.Redirect, CSRF: v.CSRF, Expires: fromMillis(v.Expires),
	}, nil
}

// open breaks the seal.
func (s *Service) open(value string) (v guestJSON, err error) {
	if len(value) > maxCookie {
		return v, errors.New("too long")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return v, errors.New("not base64url")
	}
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return v, errors.New("not of this version")
	}
	for _, k := range s.seals {
		if !bytes.Equal(sealed[1:sealHeader], k.id[:]) {
			continue
		}
		rest := sealed[sealHeader:]
		if len(rest) < k.aead.NonceSize() {
			return v, errors.New("cut off")
		}
		nonce, text := rest[:k.aead.NonceSize()], rest[k.aead.NonceSize():]
		plain, err := k.aead.Open(nil, nonce, text, sealed[:sealHeader])
		if err != nil {
			return v, errors.New("broken seal")
		}
		return v, json.Unmarshal(plain, &v)
	}
	return v, errors.New("unknown key")
}

// toMillis returns t as Unix milliseconds, 0 for the zero time.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of toMillis, in UTC.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
