package dkim_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/dkim"
)

// mail is what an invitation looks like on the wire.
const mail = "Date: Thu, 21 Nov 2024 10:00:00 +0000\r\n" +
	"From: Contoso Invitations <invites@contoso.example>\r\n" +
	"Reply-To: Sam <sam@contoso.example>\r\n" +
	"To: Jane Doe <jane@fabrikam.example>\r\n" +
	"Subject: Sam invited you\r\n to Contoso\r\n" +
	"Message-ID: <1.2@contoso.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Auto-Submitted: auto-generated\r\n" +
	"List-Unsubscribe: <https://contoso.example/block>\r\n" +
	"\r\n" +
	"Sam from Contoso  invites you. \r\nReview and accept: https://contoso.example/redeem?x=1\r\n\r\n\r\n"

// keys are made once: an RSA key takes its time.
var keys = sync.OnceValues(func() (dkim.Keys, error) { return dkim.Generate(true) })

func newSigner(t testing.TB, second bool) *dkim.Signer {
	t.Helper()
	k, err := keys()
	require.NoError(t, err)
	if !second {
		k.Ed25519 = nil
	}
	s, err := dkim.NewSigner(dkim.Options{Domain: "contoso.example", Selector: "s1", Keys: k})
	require.NoError(t, err)
	return s
}

// zone returns a lookup over what a signer publishes.
func zone(s *dkim.Signer) func(string) ([]string, error) {
	return func(name string) ([]string, error) {
		for _, r := range s.Records() {
			if r.Name == name {
				return []string{r.Value}, nil
			}
		}
		return nil, errors.New("no such name")
	}
}

func sign(t testing.TB, s *dkim.Signer) string {
	t.Helper()
	out, err := s.Sign([]byte(mail))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(out), mail), "the mail itself is not changed")
	return string(out)
}

func TestSignedMail(t *testing.T) {
	s := newSigner(t, true)
	signed := sign(t, s)
	tests := []struct {
		name string
		edit func(string) string
		want []dkim.Status // RSA, Ed25519
	}{
		{"as it was signed", func(s string) string { return s }, []dkim.Status{dkim.Pass, dkim.Pass}},
		{"spaces at the end and folding may change", strings.NewReplacer("invites you. \r\n", "invites you.\r\n", "you\r\n to", "you to").Replace, []dkim.Status{dkim.Pass, dkim.Pass}},
		{"a relay may add its fields", func(s string) string { return "Received: from a by b\r\nX-Spam: no\r\n" + s }, []dkim.Status{dkim.Pass, dkim.Pass}},
		{"a byte of the body", strings.NewReplacer("Review", "review").Replace, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"the subject", strings.NewReplacer("Sam invited", "Bob invited").Replace, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"the unsubscribe link", strings.NewReplacer("example/block", "example/other").Replace, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"a second From on top", func(s string) string { return "From: bank@bank.example\r\n" + s }, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"a second Subject below", strings.NewReplacer("MIME-Version: 1.0", "Subject: Pay now\r\nMIME-Version: 1.0").Replace, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"a second Content-Type", func(s string) string { return "Content-Type: text/html\r\n" + s }, []dkim.Status{dkim.Fail, dkim.Fail}},
		{"nobody has published the key", strings.NewReplacer("s=s1;", "s=s2;").Replace, []dkim.Status{dkim.PermError, dkim.Pass}},
		{"without signature", func(string) string { return mail }, nil},
		{"lines end in LF alone", strings.NewReplacer("\r\n", "\n").Replace, []dkim.Status{dkim.Pass, dkim.Pass}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []dkim.Status
			for _, r := range dkim.Verify([]byte(tt.edit(signed)), zone(s)) {
				require.Equal(t, "contoso.example", r.Domain)
				require.Equal(t, r.Status == dkim.Pass, r.Problem == "", r.Problem)
				got = append(got, r.Status)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestSignatureSaysWhatItCovers(t *testing.T) {
	s := newSigner(t, true)
	results := dkim.Verify([]byte(sign(t, s)), zone(s))
	require.Len(t, results, 2)
	require.Equal(t, "rsa-sha256", results[0].Algorithm)
	require.Equal(t, "s1", results[0].Selector)
	require.Equal(t, "ed25519-sha256", results[1].Algorithm)
	require.Equal(t, "s1-ed25519", results[1].Selector)
	require.False(t, results[0].Signed.IsZero())
	h := map[string]int{}
	for _, name := range results[0].Fields {
		h[name]++
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Reply-To"} {
		require.Equal(t, 2, h[name], name)
	}
	for _, name := range []string{"MIME-Version", "Auto-Submitted", "List-Unsubscribe"} {
		require.Equal(t, 1, h[name], name)
	}
	for line := range strings.SplitSeq(sign(t, s), "\r\n") {
		require.LessOrEqual(t, len(line), 998)
	}
}

func TestSignRefuses(t *testing.T) {
	s := newSigner(t, false)
	for name, raw := range map[string]string{
		"nothing": "", "no end of the header": "From: a@b.example\r\n", "no From": "To: a@b.example\r\n\r\nHello", "a body that names From": "To: a@b.example\r\n\r\nFrom: x\r\n\r\n",
	} {
		_, err := s.Sign([]byte(raw))
		require.ErrorIs(t, err, dkim.ErrHeader, name)
	}
}

func TestNewSignerNamesTheOption(t *testing.T) {
	k, err := keys()
	require.NoError(t, err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	tests := []struct {
		name string
		o    dkim.Options
		want string
	}{
		{"no domain", dkim.Options{Selector: "s", Keys: k}, "Options.Domain"},
		{"a machine's name", dkim.Options{Domain: "localhost", Selector: "s", Keys: k}, "Options.Domain"},
		{"a domain that breaks out", dkim.Options{Domain: "a.example; x=1", Selector: "s", Keys: k}, "Options.Domain"},
		{"no selector", dkim.Options{Domain: "a.example", Keys: k}, "Options.Selector"},
		{"an empty label", dkim.Options{Domain: "a.example", Selector: "a..b", Keys: k}, "Options.Selector"},
		{"no key", dkim.Options{Domain: "a.example", Selector: "s"}, "Options.Keys"},
		{"a small key", dkim.Options{Domain: "a.example", Selector: "s", Keys: dkim.Keys{RSA: small}}, "1024 bits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dkim.NewSigner(tt.o)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestEd25519AloneHasTheSelectorToItself(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := dkim.NewSigner(dkim.Options{Domain: "contoso.example", Selector: "s1", Keys: dkim.Keys{Ed25519: key}})
	require.NoError(t, err)
	require.Len(t, s.Records(), 1)
	require.Equal(t, "s1._domainkey.contoso.example", s.Records()[0].Name)
	require.Equal(t, dkim.Pass, dkim.Verify([]byte(sign(t, s)), zone(s))[0].Status)
}

func TestKeysOnDisk(t *testing.T) {
	k, err := keys()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "dkim.pem")
	require.NoError(t, k.Save(path))
	require.ErrorIs(t, k.Save(path), fs.ErrExist, "a key in use is not overwritten")
	got, err := dkim.Load(path)
	require.NoError(t, err)
	require.True(t, got.RSA.Equal(k.RSA))
	require.True(t, got.Ed25519.Equal(k.Ed25519))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		require.NoError(t, os.Chmod(path, 0o640))
		_, err = dkim.Load(path)
		require.ErrorIs(t, err, dkim.ErrExposed)
	}
	_, err = dkim.Load(filepath.Dir(path))
	require.Error(t, err)
	_, err = dkim.Load(path + ".none")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestZoneLineKeepsStringsShort(t *testing.T) {
	for _, r := range newSigner(t, true).Records() {
		name, value, ok := strings.Cut(r.Zone(), ". TXT ")
		require.True(t, ok)
		require.Equal(t, r.Name, name)
		joined := ""
		for _, s := range strings.Split(strings.Trim(value, `"`), `" "`) {
			require.LessOrEqual(t, len(s), 255)
			joined += s
		}
		require.Equal(t, r.Value, joined)
	}
}

type later struct{ error }

func (later) Timeout() bool   { return true }
func (later) Temporary() bool { return true }

func TestVerifyKeepsItsMeasure(t *testing.T) {
	s := newSigner(t, false)
	signed := sign(t, s)
	one := signed[:len(signed)-len(mail)]
	tests := []struct {
		name   string
		raw    string
		lookup func(string) ([]string, error)
		want   []dkim.Status
	}{
		{"the sixth signature", strings.Repeat(one, 6) + mail, nil, []dkim.Status{dkim.Pass, dkim.Pass, dkim.Pass, dkim.Pass, dkim.Pass, dkim.PermError}},
		{"a thousand fields", strings.Repeat("X: y\r\n", 1000) + signed, nil, []dkim.Status{dkim.PermError}},
		{"a field of 50,000 lines", "X: y" + strings.Repeat("\r\n z", 50_000) + "\r\n" + signed, nil, []dkim.Status{dkim.PermError}},
		{"a header of 300 KiB", "X: " + strings.Repeat("y", 300<<10) + "\r\n" + signed, nil, nil},
		{"a signature of 10 KiB", strings.Replace(signed, "s=s1;", "s=s1; z="+strings.Repeat("y", 10<<10)+";", 1), nil, []dkim.Status{dkim.PermError}},
		{"a signature that names 1,000 fields", strings.Replace(signed, "h=From:", "h=From:"+strings.Repeat("X:", 1000), 1), nil, []dkim.Status{dkim.PermError}},
		{"a header that never ends", one, nil, []dkim.Status{dkim.PermError}},
		{"a key that cannot be looked up now", signed, func(string) ([]string, error) { return nil, later{errors.New("try again")} }, []dkim.Status{dkim.TempError}},
		{"a key that was withdrawn", signed, func(string) ([]string, error) { return []string{"v=DKIM1; p="}, nil }, []dkim.Status{dkim.PermError}},
		{"two keys at one name", signed, func(string) ([]string, error) { return []string{"v=DKIM1; p=", "v=DKIM1; p="}, nil }, []dkim.Status{dkim.PermError}},
		{"a signature quoted in the body", "From: a@b.example\r\n\r\n" + signed, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lookup := tt.lookup
			if lookup == nil {
				lookup = zone(s)
			}
			var got []dkim.Status
			for _, r := range dkim.Verify([]byte(tt.raw), lookup) {
				got = append(got, r.Status)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// FuzzVerify checks that no mail makes Verify panic, look up more names than
// it has signatures, or contradict itself.
func FuzzVerify(f *testing.F) {
	s, err := dkim.NewSigner(dkim.Options{Domain: "contoso.example", Selector: "s1", Keys: dkim.Keys{
		Ed25519: ed25519.NewKeyFromSeed([]byte("a key of 32 bytes, the same ever")),
	}})
	require.NoError(f, err)
	f.Add([]byte(sign(f, s)))
	f.Add([]byte(mail))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=contoso.example; s=s1; h=from; bh=; b=\r\nFrom: a\r\n\r\nx"))
	f.Add([]byte("DKIM-Signature:\r\n\tv=1;;=;d\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 64<<10 {
			return
		}
		for _, r := range dkim.Verify(raw, zone(s)) {
			require.Contains(t, []dkim.Status{dkim.Pass, dkim.Fail, dkim.PermError, dkim.TempError}, r.Status)
			require.Equal(t, r.Status == dkim.Pass, r.Problem == "")
			if r.Status == dkim.Pass {
				require.NotEmpty(t, r.Domain)
			}
		}
		if signed, err := s.Sign(raw); err == nil {
			require.Equal(t, dkim.Pass, dkim.Verify(signed, zone(s))[0].Status, "%q", raw)
		}
	})
}

// FuzzParsePEM checks that what is accepted survives a round trip.
func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA\n-----END PRIVATE KEY-----\n"))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(f, err)
	seed, err := dkim.Keys{Ed25519: key}.PEM()
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := dkim.ParsePEM(data)
		if err != nil {
			return
		}
		again, err := k.PEM()
		require.NoError(t, err)
		_, err = dkim.ParsePEM(again)
		require.NoError(t, err)
	})
}

func BenchmarkSign(b *testing.B) {
	body := mail + strings.Repeat("Sam from Contoso invites you to work with 42 applications of theirs.\r\n", 280) // 20 KiB
	for _, second := range []bool{false, true} {
		name := "RSA"
		if second {
			name = "RSA and Ed25519"
		}
		b.Run(name, func(b *testing.B) {
			s := newSigner(b, second)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign([]byte(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newSigner(b, false)
	signed := []byte(sign(b, s))
	b.SetBytes(int64(len(signed)))
	b.ReportAllocs()
	for b.Loop() {
		if dkim.Verify(signed, zone(s))[0].Status != dkim.Pass {
			b.Fatal("it does not pass")
		}
	}
}
