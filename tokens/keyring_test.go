package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// states returns what the ring's keys are, in order.
func states(k *Keyring) (s []State) {
	for _, key := range k.List() {
		s = append(s, key.State)
	}
	return s
}

func TestRotateMovesEveryKeyOneStep(t *testing.T) {
	k, err := OpenKeyring("", KeyringOptions{Longest: 30 * 24 * time.Hour, Now: func() time.Time { return t0 }})
	require.NoError(t, err)
	before := k.List()
	require.Equal(t, []State{Next, Active}, states(k))
	require.Equal(t, EdDSA, before[0].Alg)

	day := t0.AddDate(0, 0, 1)
	require.NoError(t, k.Rotate(day))
	after := k.List()
	require.Equal(t, []State{Next, Active, Retired}, states(k))
	require.Equal(t, before[0].ID, after[1].ID, "the next key has become the active one")
	require.Equal(t, before[1].ID, after[2].ID, "the active key has been retired")
	require.Equal(t, day.AddDate(0, 0, 31), after[2].Retires, "thirty days and one")
	require.Zero(t, after[1].Retires)

	require.NoError(t, k.Rotate(day.AddDate(0, 0, 31).Add(-time.Second)))
	require.Equal(t, []State{Next, Active, Retired, Retired}, states(k))
	require.NoError(t, k.Rotate(day.AddDate(0, 0, 31)))
	require.Equal(t, []State{Next, Active, Retired, Retired}, states(k), "the oldest key is gone")
}

func TestRetiredKeysStayWhenTokensMayLiveForEver(t *testing.T) {
	k := ringOf(t, EdDSA)
	i, c := issuerOf(t, k)
	never := claims()
	never.Expires = time.Time{}
	ticket, err := i.Issue(never)
	require.NoError(t, err)
	for range 20 {
		c.now = c.now.AddDate(1, 0, 0)
		require.NoError(t, k.Rotate(c.now))
	}
	require.Len(t, k.List(), 22)
	_, err = i.Verify(ticket)
	require.NoError(t, err)
}

func TestNoTokenOutlivesItsKey(t *testing.T) {
	k, err := OpenKeyring("", KeyringOptions{Longest: 30 * 24 * time.Hour, Now: func() time.Time { return t0 }})
	require.NoError(t, err)
	i, c := issuerOf(t, k)
	ticket, err := i.Issue(claims())
	require.NoError(t, err)

	long := claims()
	long.Expires = long.Expires.Add(time.Second)
	_, err = i.Issue(long)
	require.ErrorContains(t, err, "KeyringOptions.Longest")
	long.Expires = time.Time{}
	_, err = i.Issue(long)
	require.ErrorContains(t, err, "KeyringOptions.Longest")

	for c.now.Before(claims().Expires) {
		_, err := i.Verify(ticket)
		require.NoError(t, err, "at %s", c.now)
		c.now = c.now.AddDate(0, 0, 1)
		require.NoError(t, k.Rotate(c.now))
	}
	c.now = c.now.AddDate(0, 0, 1)
	_, err = i.Verify(ticket)
	require.ErrorIs(t, err, ErrExpired, "the key is kept a little longer than the ticket")
	require.NoError(t, k.Rotate(c.now.AddDate(0, 0, 2)))
	_, err = i.Verify(ticket)
	require.ErrorIs(t, err, ErrUnknownKey)
}

func TestRotationUnderLoadLosesNoLiveToken(t *testing.T) {
	k, err := OpenKeyring(filepath.Join(t.TempDir(), "keys"), KeyringOptions{Now: func() time.Time { return t0 }})
	require.NoError(t, err)
	i, _ := issuerOf(t, k)
	var stop atomic.Bool
	var issued, refused atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				ticket, err := i.Issue(claims())
				if err == nil {
					_, err = i.Verify(ticket)
				}
				if err != nil {
					refused.Add(1)
				}
				issued.Add(1)
			}
		})
	}
	for n := range 20 {
		require.NoError(t, k.Rotate(t0))
		require.NoError(t, k.Reload())
		for issued.Load() < int64(n) {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	load.Wait()
	require.Zero(t, refused.Load())
	require.Positive(t, issued.Load())
}

func TestJWKSHasPublicMembersOnly(t *testing.T) {
	want := map[Alg][]string{
		EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
		ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		RS256: {"alg", "e", "kid", "kty", "n", "use"},
	}
	for alg, members := range want {
		t.Run(string(alg), func(t *testing.T) {
			k := ringOf(t, alg)
			raw, err := k.JWKS()
			require.NoError(t, err)
			var set struct{ Keys []map[string]string }
			require.NoError(t, json.Unmarshal(raw, &set))
			require.Len(t, set.Keys, 2, "the next key is published before it signs")
			for n, key := range set.Keys {
				require.Equal(t, k.List()[n].ID, key["kid"])
				require.Equal(t, "sig", key["use"])
				require.Len(t, key, len(members))
				for _, m := range members {
					require.Contains(t, key, m)
				}
			}
		})
	}
}

// TestThumbprint uses the key of RFC 8037 appendix A.3.
func TestThumbprint(t *testing.T) {
	j := jwkJSON{Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", ID: "x", Use: "sig", Alg: EdDSA}
	require.Equal(t, "kPrK_qmxVWaY", j.thumbprint())
}

func TestARingOnDiskIsTheSameAfterARestart(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		t.Run("passphrase "+passphrase, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data", "keys")
			o := KeyringOptions{Alg: ES256, Passphrase: passphrase, Longest: 31 * 24 * time.Hour, Now: func() time.Time { return t0 }}
			first, err := OpenKeyring(dir, o)
			require.NoError(t, err)
			require.NoError(t, first.Rotate(t0))
			i, _ := issuerOf(t, first)
			ticket, err := i.Issue(claims())
			require.NoError(t, err)

			second, err := OpenKeyring(dir, o)
			require.NoError(t, err)
			require.Equal(t, first.List(), second.List())
			j, _ := issuerOf(t, second)
			got, err := j.Verify(ticket)
			require.NoError(t, err)
			require.Equal(t, claims(), got)

			raw, err := os.ReadFile(filepath.Join(dir, ringName))
			require.NoError(t, err)
			require.Equal(t, passphrase == "", strings.Contains(string(raw), "pkcs8"))
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, 1, "no temporary file is left")
		})
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows protects files by access lists, not modes.")
	}
	dir := filepath.Join(t.TempDir(), "keys")
	open := func() error { _, err := OpenKeyring(dir, KeyringOptions{}); return err }
	require.NoError(t, open())
	file := filepath.Join(dir, ringName)
	requireMode := func(path string, want os.FileMode) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm())
	}
	requireMode(dir, 0o700)
	requireMode(file, 0o600)
	for _, mode := range []os.FileMode{0o644, 0o640, 0o660, 0o604, 0o400, 0o700} {
		require.NoError(t, os.Chmod(file, mode))
		err := open()
		require.ErrorContains(t, err, file)
		require.ErrorContains(t, err, "run chmod 600 "+file)
	}
	require.NoError(t, os.Chmod(file, 0o600))
	require.NoError(t, open())
	for _, mode := range []os.FileMode{0o755, 0o750, 0o777, 0o500} {
		require.NoError(t, os.Chmod(dir, mode))
		require.ErrorContains(t, open(), "run chmod 700 "+dir)
	}
}

func TestAWrongModeDoesNotSurviveReloadOrRotate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows protects files by access lists, not modes.")
	}
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	before := k.List()
	require.NoError(t, os.Chmod(filepath.Join(dir, ringName), 0o644))
	require.ErrorContains(t, k.Reload(), "chmod 600")
	require.ErrorContains(t, k.Rotate(t0), "chmod 600")
	require.Equal(t, before, k.List(), "the keys in memory stay")
}

func TestRotationByAnotherProcessIsSeenAfterReload(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	server, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	tool, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	require.Equal(t, server.List(), tool.List())

	require.NoError(t, tool.Rotate(t0))
	i, _ := issuerOf(t, server)
	j, _ := issuerOf(t, tool)
	old, err := i.Issue(claims())
	require.NoError(t, err)
	_, err = j.Verify(old)
	require.NoError(t, err, "a server that has not noticed yet signs with a key that still verifies")
	fresh, err := j.Issue(claims())
	require.NoError(t, err)
	_, err = i.Verify(fresh)
	require.NoError(t, err, "the next key verifies before it is active")

	require.NoError(t, server.Reload())
	require.Equal(t, tool.List(), server.List())
	require.NoError(t, server.Rotate(t0))
	require.NoError(t, tool.Rotate(t0))
	require.Len(t, tool.List(), 5, "a rotation starts from the file, so none is lost")
}

func TestTwoProcessesMakeOneRing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var rings [8]*Keyring
	var wg sync.WaitGroup
	for n := range rings {
		wg.Go(func() { rings[n], _ = OpenKeyring(dir, KeyringOptions{}) })
	}
	wg.Wait()
	for _, k := range rings {
		require.NotNil(t, k)
		require.Equal(t, rings[0].List(), k.List())
	}
}

func TestSealedKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	plain, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	sealed, err := OpenKeyring(dir, KeyringOptions{Passphrase: "a"})
	require.NoError(t, err)
	require.Equal(t, plain.List(), sealed.List())
	file := filepath.Join(dir, ringName)
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "pkcs8", "a ring found unsealed is sealed at once")

	_, err = OpenKeyring(dir, KeyringOptions{})
	require.ErrorContains(t, err, file+": the keys are sealed and no passphrase is configured")
	_, err = OpenKeyring(dir, KeyringOptions{Passphrase: "b"})
	require.ErrorContains(t, err, file+": the passphrase does not open the keys")

	var ring ringJSON
	require.NoError(t, json.Unmarshal(raw, &ring))
	ring.Sealed.KDF.Memory = 1 << 30
	writeRing(t, file, ring)
	_, err = OpenKeyring(dir, KeyringOptions{Passphrase: "a"})
	require.ErrorContains(t, err, "argon2id parameters are out of range")
}

func writeRing(t *testing.T, file string, ring any) {
	t.Helper()
	raw, err := json.Marshal(ring)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, raw, 0o600))
}

func TestBrokenRingFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	file := filepath.Join(dir, ringName)
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	edit := func(change func(*ringJSON)) []byte {
		var ring ringJSON
		require.NoError(t, json.Unmarshal(good, &ring))
		change(&ring)
		raw, err := json.Marshal(ring)
		require.NoError(t, err)
		return raw
	}
	tests := []struct {
		name string
		raw  []byte
		want string
	}{
		{"empty", nil, "not a key ring"},
		{"cut off", good[:len(good)/2], "not a key ring"},
		{"something else", []byte("-----BEGIN PRIVATE KEY-----"), "not a key ring"},
		{"of the future", edit(func(r *ringJSON) { r.Version = 2 }), "version 2"},
		{"no keys", edit(func(r *ringJSON) { r.Keys = nil }), "0 active"},
		{"two active keys", edit(func(r *ringJSON) { r.Keys[0].State = Active }), "2 active"},
		{"an unknown state", edit(func(r *ringJSON) { r.Keys[0].State = "asleep" }), "one active"},
		{"a key twice", edit(func(r *ringJSON) { r.Keys = append(r.Keys, r.Keys[0]) }), "twice"},
		{"ids swapped", edit(func(r *ringJSON) { r.Keys[0].ID, r.Keys[1].ID = r.Keys[1].ID, r.Keys[0].ID }), "the private key is that of"},
		{"not a key", edit(func(r *ringJSON) { r.Keys[0].Private = []byte("secret") }), "not a PKCS #8 private key"},
		{"too large", []byte(strings.Repeat(" ", maxRingFile+1)), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, tt.raw, 0o600))
			_, err := OpenKeyring(dir, KeyringOptions{})
			require.ErrorContains(t, err, file)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, err = newKey(weak, Active, t0)
	require.ErrorContains(t, err, "2048 bits, at least 3072")
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, err = newKey(curve, Active, t0)
	require.ErrorContains(t, err, "P-384")
	_, err = newKey("secret", Active, t0)
	require.ErrorContains(t, err, "string cannot sign")
}

func TestKeyringOptionsAreNamed(t *testing.T) {
	_, err := OpenKeyring("", KeyringOptions{Alg: "HS256"})
	require.ErrorContains(t, err, `KeyringOptions.Alg "HS256"`)
	_, err = OpenKeyring("", KeyringOptions{Longest: -1})
	require.ErrorContains(t, err, "KeyringOptions.Longest")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = OpenKeyring(file, KeyringOptions{})
	require.ErrorContains(t, err, "not a directory")
}

func TestTheAlgorithmChangesWithTheNextRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	k, err := OpenKeyring(dir, KeyringOptions{Alg: ES256})
	require.NoError(t, err)
	i, _ := issuerOf(t, k)
	old, err := i.Issue(claims())
	require.NoError(t, err)
	require.NoError(t, k.Rotate(t0))
	var algs []Alg
	for _, key := range k.List() {
		algs = append(algs, key.Alg)
	}
	require.Equal(t, []Alg{ES256, ES256, EdDSA}, algs)
	_, err = i.Verify(old)
	require.NoError(t, err)
}

func TestABackgroundRingIsThereWhenItIsNeeded(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "keys")} {
		k, err := OpenKeyring(dir, KeyringOptions{Background: true, Now: func() time.Time { return t0 }})
		require.NoError(t, err)
		i, _ := issuerOf(t, k)
		_, err = i.Verify("e30.e30.e30")
		require.ErrorIs(t, err, ErrInvalid, "Verify does not wait: nothing can be ours yet")
		ticket, err := i.Issue(claims())
		require.NoError(t, err)
		_, err = i.Verify(ticket)
		require.NoError(t, err)
		require.NoError(t, k.Wait())
		require.NoError(t, k.Reload())
	}
}

func TestABackgroundRingThatCannotBeKeptSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k := &Keyring{opts: KeyringOptions{Alg: EdDSA, Now: time.Now}, ready: make(chan struct{})}
	k.keys.Store(newRing(nil))
	k.file = &ringFile{dir: dir, path: filepath.Join(dir, ringName)} // the directory was never made
	k.create()
	i, _ := issuerOf(t, k)
	_, err := i.Issue(claims())
	require.ErrorContains(t, err, dir)
	_, err = k.JWKS()
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, k.Rotate(t0), dir)
	require.ErrorContains(t, k.Wait(), dir)
}

func TestAMissingFileStopsReloadNotTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := OpenKeyring(dir, KeyringOptions{})
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, ringName)))
	require.ErrorContains(t, k.Reload(), "is gone")
	require.ErrorContains(t, k.Rotate(t0), "is gone")
	i, _ := issuerOf(t, k)
	_, err = i.Issue(claims())
	require.NoError(t, err)
	memory := ringOf(t, EdDSA)
	require.NoError(t, memory.Reload())
}

// FuzzRingFile checks that no file makes opening panic, and that what is
// accepted is a ring.
func FuzzRingFile(f *testing.F) {
	k, err := generate(EdDSA, Active, t0)
	require.NoError(f, err)
	good, err := encodeRing([]*key{k}, "")
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"version":1,"keys":[{"kid":"","state":"active","pkcs8":""}]}`))
	f.Add([]byte(`{"version":1,"sealed":{"argon2id":{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","time":1,"memory":8,"threads":1},"nonce":"","aes256gcm":""}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, _, err := decodeRing(raw, "")
		if err == nil {
			require.NotNil(t, newRing(keys).active)
		}
	})
}
