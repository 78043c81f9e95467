package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"invited/server/tenant"
)

// credentialsFile is where the first start keeps the seeded credentials.
const credentialsFile = "credentials.json"

// checkPrivate refuses a file or directory that other users can read.
func checkPrivate(path string, info fs.FileInfo) error {
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	want := "600"
	if info.IsDir() {
		want = "700"
	}
	return &exitError{exitConfig, fmt.Sprintf("%s can be read by other users (mode %04o); it holds keys and mail. Close it with: chmod %s %s", path, info.Mode().Perm(), want, path)}
}

// loadCookieKey returns the key that seals guests' cookies, and makes one at
// the first start.
func loadCookieKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, "keys", "cookie.key")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails (crypto/rand since Go 1.24)
		return key, os.WriteFile(path, key, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(path)
	if err == nil && len(key) != 32 {
		return nil, &exitError{exitConfig, fmt.Sprintf("%s has %d bytes instead of 32; delete it, and guests who are signed in sign in again", path, len(key))}
	}
	return key, err
}

// codeKey returns the key that authenticates stored passcodes. It follows from
// the cookie key, which every node has to share anyway.
func codeKey(dir string) ([]byte, error) {
	secret, err := loadCookieKey(dir)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, secret, nil, "invited passcodes", 32)
}

// seededCredentials is DIR/credentials.json: what the first start made.
type seededCredentials struct {
	TenantID     string          `json:"tenantId"`
	ClientID     string          `json:"clientId"`
	ClientSecret string          `json:"clientSecret"`
	Accounts     []seededAccount `json:"accounts"`
}

type seededAccount struct {
	UPN      string   `json:"upn"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
}

// credentialsJSON lays out the seeded credentials for the file.
func credentialsJSON(c tenant.Credentials) seededCredentials {
	out := seededCredentials{TenantID: string(c.Tenant), ClientID: c.ClientID, ClientSecret: c.ClientSecret}
	for _, a := range c.Accounts {
		roles := a.Roles
		if roles == nil {
			roles = []string{}
		}
		out.Accounts = append(out.Accounts, seededAccount{UPN: a.UPN, Password: a.Password, Roles: roles})
	}
	return out
}
