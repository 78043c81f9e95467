package smtpd_test

import (
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"invited/mail/sink/smtpd"
)

func TestLogins(t *testing.T) {
	hash, err := argon2id.CreateHash("hashed secret", &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	l, err := smtpd.ParseLogins([]byte("# testers\n\njane:clear: with colon\r\njohn:" + hash + "\n"))
	require.NoError(t, err)
	tests := []struct {
		name, user, password string
		ok                   bool
	}{
		{"a password in clear", "jane", "clear: with colon", true},
		{"a hashed password", "john", "hashed secret", true},
		{"the same again", "john", "hashed secret", true},
		{"the hash itself", "john", hash, false},
		{"a wrong password", "jane", "clear", false},
		{"a wrong password for a hash", "john", "x", false},
		{"somebody else's password", "john", "clear: with colon", false},
		{"a stranger", "eve", "hashed secret", false},
		{"nobody", "", "", false},
		{"the user in another case", "JANE", "clear: with colon", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.ok, l.Match(tt.user, tt.password)) })
	}
}

func TestParseLoginsNamesTheLineAndNoSecret(t *testing.T) {
	for name, file := range map[string]string{
		"line 2 is not":          "a:b\nsecret",
		"line 1 is not":          ":secret",
		"line 1 has an argon2id": "a:$argon2id$secret",
		"line 1 has a hash":      "a:$2y$secret",
		"line 3 names a user":    "a:b\nb:secret\na:secret",
		"there is nobody":        "# secret\n",
		"line 1 is not UTF-8":    "a:secret\xff",
		"token too long":         strings.Repeat("secret", 20_000),
	} {
		_, err := smtpd.ParseLogins([]byte(file))
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "secret")
	}
}

// FuzzParseLogins checks that no file makes the parser fall, and that whoever
// is in a file with a password in clear is let in with it.
func FuzzParseLogins(f *testing.F) {
	for _, seed := range []string{"a:b", "a:$argon2id$v=19$m=64,t=1,p=1$c2FsdA$a2V5", "a:$argon2id$$$$", "#\n\n", "a", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		l, err := smtpd.ParseLogins([]byte(file))
		if err != nil || strings.Contains(file, "$argon2id$") {
			return
		}
		for line := range strings.Lines(file) {
			user, password, ok := strings.Cut(strings.TrimSpace(line), ":")
			if ok && user[:min(1, len(user))] != "#" {
				require.True(t, l.Match(user, password))
			}
		}
	})
}
