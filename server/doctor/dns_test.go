package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/dkim"
	"invited/mail/sink/scenario"
	"invited/server/doctor"
)

const ed25519Key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

var goodZone = `
contoso.example TXT v=spf1 ip4:192.0.2.10 -all
contoso.example TXT "some other service=1"
s1._domainkey.contoso.example TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcv" "PapiMlrwIaaPcHURo="
_dmarc.contoso.example TXT v=DMARC1; p=reject
contoso.example MX 10 mail.contoso.example
mail.contoso.example A 192.0.2.10
192.0.2.10 PTR mail.contoso.example
`

func sender() doctor.Sender {
	return doctor.Sender{
		Domain: "contoso.example", Selector: "s1", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		Keys: []dkim.Record{{Name: "s1._domainkey.contoso.example", Value: "v=DKIM1; k=ed25519; p=" + ed25519Key}},
	}
}

func TestExamineSender(t *testing.T) {
	tests := []struct {
		name     string
		from, to string // what is changed in the good zone
		bad      string // the check that fails; empty: none
		detail   string
	}{
		{name: "all in order"},
		{"no SPF", "contoso.example TXT v=spf1 ip4:192.0.2.10 -all", "", "SPF", "has no SPF record"},
		{"two SPF records", "contoso.example TXT \"some other service=1\"", "contoso.example TXT v=spf1 -all", "SPF", "2 SPF records"},
		{"SPF of another address", "ip4:192.0.2.10", "ip4:192.0.2.99", "SPF", `"fail"`},
		{"SPF for everybody", "-all", "+all", "SPF", "everybody"},
		{"SPF that includes itself", "ip4:192.0.2.10 -all", "include:contoso.example -all", "SPF", "permerror"},
		{"no key", "s1._domainkey.contoso.example", "s2._domainkey.contoso.example", "DKIM", "has no key"},
		{"another key", "11qYAYKx", "21qYAYKx", "DKIM", "another key"},
		{"a revoked key", `"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcv" "PapiMlrwIaaPcHURo="`, `"v=DKIM1; k=ed25519; p="`, "DKIM", "revoked"},
		{"a key that was cut off", `hcv" "PapiMlrwIaaPcHURo="`, `hcv"`, "DKIM", "not"},
		{"a key that is only tested", "k=ed25519;", "k=ed25519; t=y;", "DKIM", "t=y"},
		{"no DMARC", "_dmarc", "dmarc", "DMARC", "no DMARC record"},
		{"DMARC that nobody can read", "p=reject", "p=maybe", "DMARC", "cannot be read"},
		{"no MX", "contoso.example MX 10 mail.contoso.example", "", "MX", "no MX record"},
		{"a null MX", "MX 10 mail.contoso.example", "MX 0 .", "MX", "takes no mail"},
		{"an MX without an address", "MX 10 mail", "MX 10 lost", "MX", "has no address"},
		{"no PTR", "192.0.2.10 PTR mail.contoso.example", "", "PTR", "has no name"},
		{"a PTR that does not lead back", "PTR mail.contoso.example", "PTR host.isp.example", "PTR", "does not lead back"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := goodZone
			if tt.from != "" {
				require.Contains(t, text, tt.from)
				text = strings.ReplaceAll(text, tt.from, tt.to)
			}
			zone, err := scenario.ParseZone(text)
			require.NoError(t, err)
			seen := map[string]bool{}
			for _, r := range sender().Examine(t.Context(), zone) {
				seen[r.Name] = true
				if r.Name != tt.bad {
					require.True(t, r.OK, "%+v", r)
					continue
				}
				require.False(t, r.OK, "%+v", r)
				require.Contains(t, r.Detail, tt.detail)
				require.NotEmpty(t, r.Remedy)
			}
			require.Len(t, seen, 5)
		})
	}
}

func TestRecordsPassTheirOwnExamination(t *testing.T) {
	s := sender()
	s.IPs = append(s.IPs, netip.MustParseAddr("2001:db8::10"))
	var lines []string
	for _, r := range s.Records() {
		lines = append(lines, r.Zone())
	}
	lines = append(lines, "contoso.example MX 10 mail.contoso.example", "mail.contoso.example A 192.0.2.10", "mail.contoso.example AAAA 2001:db8::10",
		"192.0.2.10 PTR mail.contoso.example", "2001:db8::10 PTR mail.contoso.example")
	zone, err := scenario.ParseZone(strings.Join(lines, "\n"))
	require.NoError(t, err)
	for _, r := range s.Examine(t.Context(), zone) {
		require.True(t, r.OK, "%+v", r)
	}
}

// deaf is a resolver that cannot be reached.
type deaf struct{}

var errDeaf = &net.DNSError{Err: "i/o timeout", IsTimeout: true}

func (deaf) LookupTXT(context.Context, string) ([]string, error)        { return nil, errDeaf }
func (deaf) LookupMX(context.Context, string) ([]*net.MX, error)        { return nil, errDeaf }
func (deaf) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) { return nil, errDeaf }
func (deaf) LookupAddr(context.Context, string) ([]string, error)       { return nil, errors.New("no route") }

func TestNoAnswerIsNotCalledNoRecord(t *testing.T) {
	for _, r := range sender().Examine(t.Context(), deaf{}) {
		require.False(t, r.OK)
		require.Contains(t, r.Detail, "does not answer", "%+v", r)
	}
}
