package scenario

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"
)

// Signature is a DKIM signature of a mail, verified elsewhere against the same
// zone.
type Signature struct {
	Domain   string
	Selector string
	Result   string // pass, fail, permerror or temperror
	Problem  string // why it did not pass
}

// Results is what was found out about the authenticity of a mail, in the words
// of RFC 8601.
type Results struct {
	ClientIP string
	Helo     string
	PTR      string // confirmed reverse name of the client; empty: none
	TLS      bool
	MailFrom string

	SPF       string // none, neutral, pass, fail, softfail, temperror or permerror
	SPFDomain string // that was asked
	SPFDetail string // why

	Signatures []Signature
	DKIM       string // none, pass, or the result of the first signature

	DMARC      string // none, pass, fail or permerror
	Policy     string // none, quarantine or reject: what the domain asks for; empty without a record
	FromDomain string // of the From field
	Aligned    bool   // SPF or DKIM passed for the domain of From
	AlignedBy  string // dkim or spf
}

// Authenticate judges SPF (RFC 7208), the signatures, and DMARC (RFC 7489) of
// a mail whose From field names the domains from.
//
// The organisational domain is the public suffix of the list compiled into
// golang.org/x/net and one label more; names under suffixes the list does not
// know, such as ".example", are cut to two labels. pct is not looked at: the
// policy always applies, so that a verdict does not depend on chance.
func Authenticate(s Session, z *Zone, from []string, signatures []Signature) Results {
	r := Results{
		ClientIP: s.ClientIP.String(), Helo: s.Helo, TLS: s.TLS, MailFrom: s.MailFrom,
		PTR: s.ReverseName(z), Signatures: signatures, DKIM: "none",
	}
	r.checkSPF(s, z)
	for i, sig := range signatures {
		if sig.Result == "pass" {
			r.DKIM = "pass"
			break
		}
		if i == 0 {
			r.DKIM = sig.Result
		}
	}
	r.checkDMARC(z, from)
	return r
}

// ReverseName returns the name of the client, empty if it has none. A name from
// the zone must lead back to the address, as receivers ask.
func (s Session) ReverseName(z *Zone) string {
	switch s.PTR {
	case "":
	case "-":
		return ""
	default:
		return strings.ToLower(strings.TrimSuffix(s.PTR, "."))
	}
	if !s.ClientIP.IsValid() {
		return ""
	}
	names, _ := z.LookupAddr(context.Background(), s.ClientIP.String())
	for _, name := range names {
		addrs, _ := z.LookupIPAddr(context.Background(), name)
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == s.ClientIP.Unmap() {
				return strings.TrimSuffix(name, ".")
			}
		}
	}
	return ""
}

func (r *Results) checkSPF(s Session, z *Zone) {
	r.SPFDomain = domainOf(s.MailFrom)
	if r.SPFDomain == "" {
		r.SPFDomain = strings.ToLower(strings.TrimSuffix(s.Helo, "."))
	}
	r.SPF = string(spf.None)
	if !s.ClientIP.IsValid() || r.SPFDomain == "" {
		return
	}
	result, err := spf.CheckHostWithSender(net.IP(s.ClientIP.Unmap().AsSlice()), s.Helo, s.MailFrom, spf.WithResolver(z))
	r.SPF = string(result)
	if err != nil {
		r.SPFDetail = err.Error()
	}
}

// checkDMARC judges each domain of From; the worst of them counts, so that a
// second From field cannot help.
func (r *Results) checkDMARC(z *Zone, from []string) {
	r.DMARC = "none"
	for i, domain := range from {
		one := r.dmarcOf(z, strings.ToLower(strings.TrimSuffix(domain, ".")))
		if i == 0 || worse(one, *r) {
			r.DMARC, r.Policy, r.FromDomain, r.Aligned, r.AlignedBy = one.DMARC, one.Policy, one.FromDomain, one.Aligned, one.AlignedBy
		}
	}
}

// worse orders results: what fails first, then by policy, then by name, so
// that the order of From does not matter.
func worse(a, b Results) bool {
	rank := func(r Results) int {
		n := map[string]int{"pass": 0, "none": 1, "permerror": 2, "fail": 3}[r.DMARC]*8 + map[string]int{"": 0, "none": 1, "quarantine": 2, "reject": 3}[r.Policy]*2
		if !r.Aligned {
			n++
		}
		return n
	}
	if x, y := rank(a), rank(b); x != y {
		return x > y
	}
	return a.FromDomain > b.FromDomain
}

func (r *Results) dmarcOf(z *Zone, domain string) Results {
	out := Results{DMARC: "none", FromDomain: domain}
	record, at, err := findPolicy(z, domain)
	strictSPF, strictDKIM := false, false
	if record != nil {
		strictSPF = record.SPFAlignment == dmarc.AlignmentStrict
		strictDKIM = record.DKIMAlignment == dmarc.AlignmentStrict
	}
	for _, sig := range r.Signatures {
		if sig.Result == "pass" && aligned(sig.Domain, domain, strictDKIM) {
			out.Aligned, out.AlignedBy = true, "dkim"
		}
	}
	if !out.Aligned && r.SPF == string(spf.Pass) && aligned(r.SPFDomain, domain, strictSPF) {
		out.Aligned, out.AlignedBy = true, "spf"
	}
	switch {
	case err != nil:
		out.DMARC = "permerror"
	case record == nil:
	default:
		out.Policy = string(record.Policy)
		if at != domain && record.SubdomainPolicy != "" {
			out.Policy = string(record.SubdomainPolicy)
		}
		out.DMARC = "fail"
		if out.Aligned {
			out.DMARC = "pass"
		}
	}
	return out
}

// findPolicy looks for the record of a domain, then of its organisation. An
// error means that there is a record nobody can read.
func findPolicy(z *Zone, domain string) (record *dmarc.Record, at string, err error) {
	for _, at := range []string{domain, OrganisationalDomain(domain)} {
		if at == "" {
			continue
		}
		values, _ := z.TXT("_dmarc." + at)
		var found []string
		for _, v := range values {
			if strings.HasPrefix(v, "v=DMARC1") {
				found = append(found, v)
			}
		}
		if len(found) == 1 {
			record, err := dmarc.Parse(found[0])
			return record, at, err
		}
		if len(found) > 1 { // RFC 7489 section 6.6.3: as if there were none
			return nil, at, nil
		}
	}
	return nil, "", nil
}

// OrganisationalDomain returns the part of a domain name that its owner
// registered, as described at [Authenticate]; the name itself if it is no
// longer.
func OrganisationalDomain(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// aligned reports whether a domain that was proven stands for the one of From.
func aligned(proven, from string, strict bool) bool {
	proven = strings.ToLower(strings.TrimSuffix(proven, "."))
	if proven == "" || from == "" {
		return false
	}
	return proven == from || !strict && OrganisationalDomain(proven) == OrganisationalDomain(from)
}

// domainOf returns the domain of an address, in lower case.
func domainOf(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(address[i+1:], "."))
}
