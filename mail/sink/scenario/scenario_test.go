package scenario_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink/scenario"
)

// records is the DNS of the tests.
const records = `
# Contoso sends from one address and asks for rejection.
contoso.example.                TXT   v=spf1 ip4:192.0.2.10 include:_spf.relay.example -all
_dmarc.contoso.example          TXT   v=DMARC1; p=reject; sp=quarantine
s1._domainkey.contoso.example   CNAME s1.keys.relay.example
s1.keys.relay.example     3600 IN TXT "v=DKIM1; k=rsa; " "p=abc"
_spf.relay.example              TXT   v=spf1 a:out.relay.example -all
out.relay.example               A     192.0.2.77
out.relay.example               AAAA  2001:db8::77
192.0.2.10                      PTR   mail.contoso.example
mail.contoso.example            A     192.0.2.10
192.0.2.66                      PTR   mail.contoso.example
2001:db8::77                    PTR   out.relay.example
; strict alignment, soft policies
strict.example                  TXT   v=spf1 ip4:192.0.2.10 ~all
_dmarc.strict.example           TXT   v=DMARC1; p=none; adkim=s; aspf=s
_dmarc.broken.example           TXT   v=DMARC1; p=perhaps
_dmarc.twice.example            TXT   v=DMARC1; p=reject
_dmarc.twice.example            TXT   v=DMARC1; p=none
loop.example                    CNAME loop.example
contoso.example                 MX    10 mail.contoso.example
`

func zone(t testing.TB) *scenario.Zone {
	t.Helper()
	z, err := scenario.ParseZone(records)
	require.NoError(t, err)
	return z
}

func signed(domain, result string) []scenario.Signature {
	return []scenario.Signature{{Domain: domain, Selector: "s1", Result: result}}
}

func TestAuthenticate(t *testing.T) {
	tests := []struct {
		name       string
		ip         string
		mailFrom   string
		from       []string
		signatures []scenario.Signature
		want       string // spf dkim dmarc policy, aligned by
	}{
		{"all is well", "192.0.2.10", "b@contoso.example", []string{"contoso.example"}, signed("contoso.example", "pass"), "pass pass pass reject dkim"},
		{"unsigned from the right address", "192.0.2.10", "b@contoso.example", []string{"contoso.example"}, nil, "pass none pass reject spf"},
		{"by the relay", "192.0.2.77", "b@contoso.example", []string{"contoso.example"}, nil, "pass none pass reject spf"},
		{"by the relay over IPv6", "2001:db8::77", "b@contoso.example", []string{"contoso.example"}, nil, "pass none pass reject spf"},
		{"mapped into IPv6", "::ffff:192.0.2.10", "b@contoso.example", []string{"contoso.example"}, nil, "pass none pass reject spf"},
		{"from the wrong address", "192.0.2.66", "b@contoso.example", []string{"contoso.example"}, nil, "fail none fail reject "},
		{"forwarded: the signature holds", "192.0.2.66", "b@contoso.example", []string{"contoso.example"}, signed("contoso.example", "pass"), "fail pass pass reject dkim"},
		{"forwarded and changed", "192.0.2.66", "b@contoso.example", []string{"contoso.example"}, signed("contoso.example", "fail"), "fail fail fail reject "},
		{"somebody else's signature", "192.0.2.66", "b@contoso.example", []string{"contoso.example"}, signed("relay.example", "pass"), "fail pass fail reject "},
		{"a bounce is judged by its HELO", "192.0.2.10", "", []string{"contoso.example"}, nil, "none none fail reject "},
		{"a subdomain has a policy of its own", "192.0.2.66", "b@relay.example", []string{"mail.contoso.example"}, nil, "none none fail quarantine "},
		{"a subdomain aligns when relaxed", "192.0.2.10", "b@contoso.example", []string{"mail.contoso.example"}, nil, "pass none pass quarantine spf"},
		{"and does not when strict", "192.0.2.10", "b@strict.example", []string{"mail.strict.example"}, signed("strict.example", "pass"), "pass pass fail none "},
		{"the domain itself does", "192.0.2.10", "b@strict.example", []string{"strict.example"}, nil, "pass none pass none spf"},
		{"softfail does not pass", "192.0.2.66", "b@strict.example", []string{"strict.example"}, nil, "softfail none fail none "},
		{"no record at all", "192.0.2.10", "b@nowhere.example", []string{"nowhere.example"}, nil, "none none none  "},
		{"no policy, but aligned", "192.0.2.10", "b@relay.example", []string{"relay.example"}, signed("relay.example", "pass"), "none pass none  dkim"},
		{"a policy nobody can read", "192.0.2.10", "b@broken.example", []string{"broken.example"}, nil, "none none permerror  "},
		{"two policies are none", "192.0.2.10", "b@twice.example", []string{"twice.example"}, nil, "none none none  "},
		{"a second From does not help", "192.0.2.10", "b@strict.example", []string{"strict.example", "contoso.example"}, nil, "pass none fail reject "},
		{"nor first", "192.0.2.10", "b@strict.example", []string{"contoso.example", "strict.example"}, nil, "pass none fail reject "},
		{"no From", "192.0.2.10", "b@contoso.example", nil, nil, "pass none none  "},
		{"an address without domain", "192.0.2.10", "postmaster", []string{""}, nil, "none none none  "},
		{"names that go in circles", "192.0.2.10", "b@loop.example", []string{"loop.example"}, nil, "permerror none none  "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := scenario.Session{ClientIP: netip.MustParseAddr(tt.ip), Helo: "mail.fabrikam.example", MailFrom: tt.mailFrom}
			r := scenario.Authenticate(s, zone(t), tt.from, tt.signatures)
			require.Equal(t, tt.want, strings.Join([]string{r.SPF, r.DKIM, r.DMARC, r.Policy, r.AlignedBy}, " "), "%+v", r)
			require.Equal(t, r.AlignedBy != "", r.Aligned)
			require.Equal(t, r, scenario.Authenticate(s, zone(t), tt.from, tt.signatures), "the same again")
		})
	}
}

func TestReverseNameIsConfirmed(t *testing.T) {
	tests := []struct{ name, ip, ptr, want string }{
		{"leads back", "192.0.2.10", "", "mail.contoso.example"},
		{"leads elsewhere", "192.0.2.66", "", ""},
		{"IPv6", "2001:db8::77", "", "out.relay.example"},
		{"there is none", "192.0.2.1", "", ""},
		{"the scenario says so", "192.0.2.1", "Mail.Fabrikam.example.", "mail.fabrikam.example"},
		{"the scenario says none", "192.0.2.10", "-", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := scenario.Authenticate(scenario.Session{ClientIP: netip.MustParseAddr(tt.ip), PTR: tt.ptr}, zone(t), nil, nil)
			require.Equal(t, tt.want, r.PTR)
		})
	}
}

func TestOrganisationalDomain(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.contoso.example": "contoso.example", "contoso.example": "contoso.example", "example": "example", "": "",
		"mail.contoso.co.uk": "contoso.co.uk", "co.uk": "co.uk", "a..b": "a..b",
	} {
		require.Equal(t, want, scenario.OrganisationalDomain(domain), domain)
	}
}

func TestParseZoneNamesTheLine(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no value", "a.example TXT", "line 1: there is no value"},
		{"a type nobody knows", "\n\na.example SRV 1 2 3 b.example", "line 3: the type"},
		{"a value that is no address", "a.example A 192.0.2.300", "not an address"},
		{"an address of the other kind", "a.example AAAA 192.0.2.3", "not an address"},
		{"MX without a number", "a.example MX mail.a.example", "MX"},
		{"a name that is none", "a..example A 192.0.2.3", "the name"},
		{"a name too long", strings.Repeat("a.", 130) + "example A 192.0.2.3", "the name"},
		{"a string without end", `a.example TXT "v=spf1`, "no end"},
		{"text between strings", `a.example TXT "v=spf1" -all "x"`, "between"},
		{"two aliases", "a.example CNAME b.example\na.example CNAME c.example", "line 2: the name has a CNAME"},
		{"a long value", "a.example TXT " + strings.Repeat("x", 5000), "longer"},
		{"too many records", strings.Repeat("a.example A 192.0.2.1\n", scenario.MaxRecords+1), "line 10001"},
		{"too large", strings.Repeat("# nothing\n", 110_000), "1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := scenario.ParseZone(tt.text)
			require.ErrorContains(t, err, tt.want)
			var ze *scenario.ZoneError
			require.ErrorAs(t, err, &ze)
		})
	}
}

func TestLookups(t *testing.T) {
	z := zone(t)
	txt, err := z.TXT("S1._domainkey.Contoso.example.")
	require.NoError(t, err)
	require.Equal(t, []string{"v=DKIM1; k=rsa; p=abc"}, txt, "the alias is followed, the strings are joined")
	mx, err := z.LookupMX(t.Context(), "contoso.example")
	require.NoError(t, err)
	require.Equal(t, "mail.contoso.example", mx[0].Host)
	ips, err := z.LookupIPAddr(t.Context(), "out.relay.example")
	require.NoError(t, err)
	require.Len(t, ips, 2)
	_, err = z.TXT("nowhere.example")
	require.Error(t, err)
	var none *scenario.Zone
	_, err = none.TXT("contoso.example")
	require.Error(t, err)
}

const file = `{"clientIP": "192.0.2.10", "helo": "mail.contoso.example", "ptr": "-", "tls": true, "zone": "contoso.zone",
	"records": ["more.example TXT v=spf1 -all"], "contacts": ["*@contoso.example"], "allow": ["boss@contoso.example"],
	"force": [{"to": "*+spam@*", "folder": "Junk", "reason": "for the demonstration"}]}`

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "contoso.zone"), []byte(records), 0o600))
	path := filepath.Join(dir, "scenario.json")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	s, err := scenario.Load(path)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.10", s.ClientIP.String())
	require.Equal(t, []scenario.Force{{To: "*+spam@*", Folder: "Junk", Reason: "for the demonstration"}}, s.Force)
	for _, name := range []string{"contoso.example", "more.example"} {
		_, err = s.Zone.TXT(name)
		require.NoError(t, err)
	}
	_, err = scenario.Load(filepath.Join(dir, "none.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"a member nobody knows", `{"client": "192.0.2.1"}`, "client"},
		{"two objects", `{} {}`, "after the object"},
		{"no address", `{"clientIP": "localhost"}`, "clientIP"},
		{"a HELO with a line end", `{"helo": "a\r\nb"}`, "helo"},
		{"a PTR that is no name", `{"ptr": "a b"}`, "ptr"},
		{"an unknown folder", `{"force": [{"folder": "Trash"}]}`, "Trash"},
		{"an empty pattern", `{"allow": [""]}`, "empty"},
		{"a long pattern", `{"contacts": ["` + strings.Repeat("*", 400) + `"]}`, "longer"},
		{"a record that is none", `{"records": ["a.example"]}`, "there is no value"},
		{"a zone file where none is read", `{"zone": "/etc/passwd"}`, "not read here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := scenario.Parse([]byte(tt.json), nil)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := scenario.Parse([]byte(`{"zone": "x"}`), func(string) ([]byte, error) { return nil, errors.New("gone") })
	require.ErrorContains(t, err, "gone")
}

func TestSession(t *testing.T) {
	yes := true
	assumed := &scenario.Scenario{ClientIP: netip.MustParseAddr("192.0.2.10"), Helo: "mail.contoso.example", TLS: &yes, Zone: zone(t)}
	local := scenario.Session{ClientIP: netip.MustParseAddr("127.0.0.1"), Helo: "localhost", MailFrom: "a@b.example"}
	remote := scenario.Session{ClientIP: netip.MustParseAddr("198.51.100.7"), Helo: "client.example"}
	tests := []struct {
		name   string
		s      *scenario.Scenario
		real   scenario.Session
		fields map[string]string
		want   scenario.Session
	}{
		{"this machine, nothing said", nil, local, nil, local},
		{"this machine in a scenario", assumed, local, nil, scenario.Session{ClientIP: assumed.ClientIP, Helo: "mail.contoso.example", TLS: true, MailFrom: "a@b.example", Judged: true}},
		{"the mail says more", assumed, local, map[string]string{"X-Sink-Client-IP": " 203.0.113.5", "X-Sink-Helo": "other.example", "X-Sink-PTR": "-", "X-Sink-TLS": "No"},
			scenario.Session{ClientIP: netip.MustParseAddr("203.0.113.5"), Helo: "other.example", PTR: "-", MailFrom: "a@b.example", Judged: true}},
		{"the mail alone", nil, local, map[string]string{"X-Sink-Client-IP": "203.0.113.5"}, scenario.Session{ClientIP: netip.MustParseAddr("203.0.113.5"), Helo: "localhost", MailFrom: "a@b.example", Judged: true}},
		{"the mail talks nonsense", nil, local, map[string]string{"X-Sink-Client-IP": "here", "X-Sink-Helo": "a b", "X-Sink-PTR": "..", "X-Sink-TLS": "perhaps"}, local},
		{"a stranger may say nothing", &scenario.Scenario{}, remote, map[string]string{"X-Sink-Client-IP": "203.0.113.5"}, remote},
		{"a stranger is judged if there is a zone", &scenario.Scenario{Zone: zone(t)}, remote, nil, scenario.Session{ClientIP: remote.ClientIP, Helo: "client.example", Judged: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.s.Session(tt.real, func(name string) string { return tt.fields[name] }))
		})
	}
}

// FuzzParseZone checks that a zone that was read answers every question, and
// that no record makes a verdict contradict itself.
func FuzzParseZone(f *testing.F) {
	f.Add(records, "b@contoso.example", "contoso.example")
	f.Add("a.example TXT v=spf1 redirect=a.example", "x@a.example", "a.example")
	f.Add("a.example TXT v=spf1 exists:%{i}._spf.%{d2} -all\n_dmarc.a.example TXT v=DMARC1; p=none;;=", "x@a.example", "b.a.example")
	f.Add("a.example CNAME b.example\nb.example CNAME a.example", "x@a.example", "a.example")
	f.Fuzz(func(t *testing.T, text, mailFrom, from string) {
		if len(text) > 64<<10 || len(mailFrom) > 1000 || len(from) > 1000 {
			return
		}
		z, err := scenario.ParseZone(text)
		if err != nil {
			return
		}
		s := scenario.Session{ClientIP: netip.MustParseAddr("192.0.2.10"), Helo: "mail.example", MailFrom: mailFrom}
		r := scenario.Authenticate(s, z, []string{from}, signed(from, "pass"))
		require.Contains(t, []string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}, r.SPF)
		require.Contains(t, []string{"none", "pass", "permerror", "fail"}, r.DMARC)
		require.Contains(t, []string{"", "none", "quarantine", "reject"}, r.Policy)
		require.False(t, r.DMARC == "pass" && !r.Aligned)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte(`{"force": [{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scenario.Parse(data, func(string) ([]byte, error) { return []byte(records), nil })
		if err == nil {
			require.NotNil(t, s.Zone)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	z := zone(b)
	s := scenario.Session{ClientIP: netip.MustParseAddr("192.0.2.77"), Helo: "out.relay.example", MailFrom: "b@contoso.example"}
	b.ReportAllocs()
	for b.Loop() {
		scenario.Authenticate(s, z, []string{"contoso.example"}, nil)
	}
}

// TestManual holds that the examples of the manual work.
func TestManual(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/judging.md")
	require.NoError(t, err)
	example := func(kind string) string {
		_, rest, ok := strings.Cut(string(manual), "```"+kind+"\n")
		require.True(t, ok, kind)
		text, _, _ := strings.Cut(rest, "```")
		return text
	}
	s, err := scenario.Parse([]byte(example("json")), func(string) ([]byte, error) { return []byte(example("text")), nil })
	require.NoError(t, err)
	session := s.Session(scenario.Session{ClientIP: netip.MustParseAddr("127.0.0.1"), MailFrom: "a@contoso.example"}, nil)
	r := scenario.Authenticate(session, s.Zone, []string{"contoso.example"}, nil)
	require.Equal(t, "pass pass reject mail.contoso.example", strings.Join([]string{r.SPF, r.DMARC, r.Policy, r.PTR}, " "))
}
