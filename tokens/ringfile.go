package tokens

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/argon2"
)

// ringName is the file in the ring's directory.
const ringName = "keyring.json"

// maxRingFile bounds what is read; a ring of a thousand RSA keys fits.
const maxRingFile = 4 << 20

// ringFile is the ring on disk: one file, replaced whole, so that a crash
// leaves the old ring or the new one.
type ringFile struct {
	dir, path  string
	passphrase string
}

// openRingFile makes the directory if it is missing and checks its mode.
func openRingFile(dir, passphrase string) (*ringFile, error) {
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o700); err != nil {
		return nil, fmt.Errorf("tokens: make key directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("tokens: make key directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("tokens: key directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("tokens: key directory %s is not a directory", dir)
	}
	if err := checkMode(dir, info, 0o700); err != nil {
		return nil, err
	}
	return &ringFile{dir: dir, path: filepath.Join(dir, ringName), passphrase: passphrase}, nil
}

// load returns the keys, nil if there is no file, and whether it is sealed.
func (f *ringFile) load() (keys []*key, sealed bool, err error) {
	raw, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if keys, sealed, err = decodeRing(raw, f.passphrase); err != nil {
		return nil, sealed, fmt.Errorf("tokens: %s: %w", f.path, err)
	}
	return keys, sealed, nil
}

func (f *ringFile) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("tokens: open keys: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("tokens: open keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("tokens: %s is not a regular file", f.path)
	}
	if err := checkMode(f.path, info, 0o600); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxRingFile+1))
	if err != nil {
		return nil, fmt.Errorf("tokens: read keys: %w", err)
	}
	if len(raw) > maxRingFile {
		return nil, fmt.Errorf("tokens: %s is larger than %d bytes", f.path, maxRingFile)
	}
	return raw, nil
}

// create writes the first ring and returns it, or the ring that another process
// has written in the meantime.
func (f *ringFile) create(keys []*key) ([]*key, error) {
	unlock, err := lockDir(f.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if found, _, err := f.load(); found != nil || err != nil {
		return found, err
	}
	return keys, f.replace(keys)
}

// update replaces the ring by what change makes of the one on disk. No other
// process changes it meanwhile.
func (f *ringFile) update(change func([]*key) ([]*key, error)) ([]*key, error) {
	unlock, err := lockDir(f.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	keys, _, err := f.load()
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, fmt.Errorf("tokens: %s is gone", f.path)
	}
	if keys, err = change(keys); err != nil {
		return nil, err
	}
	return keys, f.replace(keys)
}

// replace writes the ring to a new file, durably, and renames it into place.
func (f *ringFile) replace(keys []*key) error {
	raw, err := encodeRing(keys, f.passphrase)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, ringName+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("tokens: write keys: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err == nil {
		err = syncDir(f.dir)
	}
	if err != nil {
		return fmt.Errorf("tokens: write keys: %w", err)
	}
	return nil
}

// ringJSON is the file. Either Keys or Sealed is there.
type ringJSON struct {
	Version int           `json:"version"`
	Keys    []ringKeyJSON `json:"keys,omitempty"`
	Sealed  *sealedJSON   `json:"sealed,omitempty"`
}

type ringKeyJSON struct {
	ID      string    `json:"kid"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
	Retires time.Time `json:"retires,omitzero"`
	Private []byte    `json:"pkcs8"`
}

// sealedJSON is a ringJSON under AES-256-GCM, its key derived with argon2id
// (RFC 9106).
type sealedJSON struct {
	KDF    kdfJSON `json:"argon2id"`
	Nonce  []byte  `json:"nonce"`
	Cipher []byte  `json:"aes256gcm"`
}

type kdfJSON struct {
	Salt    []byte `json:"salt"`
	Time    uint32 `json:"time"`
	Memory  uint32 `json:"memory"` // KiB
	Threads uint8  `json:"threads"`
}

// maxKDF bounds what a foreign file can make us spend.
var maxKDF = kdfJSON{Time: 16, Memory: 1 << 20, Threads: 16}

// gcm returns the cipher for a passphrase. The parameters are authenticated as
// additional data.
func (k kdfJSON) gcm(passphrase string) (aead cipher.AEAD, additional []byte, err error) {
	if k.Time == 0 || k.Time > maxKDF.Time || k.Memory == 0 || k.Memory > maxKDF.Memory ||
		k.Threads == 0 || k.Threads > maxKDF.Threads || len(k.Salt) < 16 {
		return nil, nil, errors.New("argon2id parameters are out of range")
	}
	block, err := aes.NewCipher(argon2.IDKey([]byte(passphrase), k.Salt, k.Time, k.Memory, k.Threads, 32))
	if err != nil {
		return nil, nil, err
	}
	if additional, err = json.Marshal(k); err != nil {
		return nil, nil, err
	}
	aead, err = cipher.NewGCM(block)
	return aead, additional, err
}

func encodeRing(keys []*key, passphrase string) ([]byte, error) {
	file := ringJSON{Version: 1}
	for _, k := range keys {
		der, err := k.der()
		if err != nil {
			return nil, err
		}
		file.Keys = append(file.Keys, ringKeyJSON{
			ID: k.id, State: k.state, Created: k.created, Retires: k.retires, Private: der,
		})
	}
	raw, err := json.MarshalIndent(file, "", "\t")
	if err != nil || passphrase == "" {
		return raw, err
	}
	// The parameters are the second recommendation of RFC 9106 section 4.
	s := &sealedJSON{
		KDF:   kdfJSON{Salt: make([]byte, 16), Time: 3, Memory: 64 << 10, Threads: 4},
		Nonce: make([]byte, 12),
	}
	_, _ = rand.Read(s.KDF.Salt) // crypto/rand.Read never fails
	_, _ = rand.Read(s.Nonce)
	aead, additional, err := s.KDF.gcm(passphrase)
	if err != nil {
		return nil, err
	}
	s.Cipher = aead.Seal(nil, s.Nonce, raw, additional)
	return json.MarshalIndent(ringJSON{Version: 1, Sealed: s}, "", "\t")
}

// decodeRing returns the keys of a file, and whether it was sealed.
func decodeRing(raw []byte, passphrase string) (keys []*key, sealed bool, err error) {
	file, err := parseRing(raw)
	if err != nil {
		return nil, false, err
	}
	if file.Sealed != nil {
		if file, err = file.Sealed.open(passphrase); err != nil {
			return nil, true, err
		}
		sealed = true
	}
	for _, j := range file.Keys {
		k, err := j.key()
		if err != nil {
			return nil, sealed, fmt.Errorf("key %q: %w", j.ID, err)
		}
		keys = append(keys, k)
	}
	return keys, sealed, inOrder(keys)
}

func parseRing(raw []byte) (ringJSON, error) {
	var file ringJSON
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return file, errors.New("not a key ring: restore it from a backup, or move it away to start with new keys (links sent before stop working)")
	}
	if file.Version != 1 {
		return file, fmt.Errorf("version %d is not known to this program", file.Version)
	}
	return file, nil
}

func (s *sealedJSON) open(passphrase string) (ringJSON, error) {
	if passphrase == "" {
		return ringJSON{}, errors.New("the keys are sealed and no passphrase is configured")
	}
	aead, additional, err := s.KDF.gcm(passphrase)
	if err != nil {
		return ringJSON{}, err
	}
	if len(s.Nonce) != aead.NonceSize() {
		return ringJSON{}, errors.New("the seal is damaged")
	}
	raw, err := aead.Open(nil, s.Nonce, s.Cipher, additional)
	if err != nil {
		return ringJSON{}, errors.New("the passphrase does not open the keys, or the file is damaged")
	}
	return parseRing(raw)
}

func (j ringKeyJSON) key() (*key, error) {
	private, err := x509.ParsePKCS8PrivateKey(j.Private)
	if err != nil {
		return nil, errors.New("not a PKCS #8 private key")
	}
	k, err := newKey(private, j.State, j.Created)
	if err != nil {
		return nil, err
	}
	if k.id != j.ID {
		return nil, fmt.Errorf("the private key is that of %q", k.id)
	}
	k.retires = j.Retires
	return k, nil
}
