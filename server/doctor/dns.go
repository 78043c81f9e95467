package doctor

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/dmarc"

	"invited/mail/dkim"
	"invited/mail/sink/scenario"
)

// Resolver answers questions to the DNS, as *net.Resolver and *scenario.Zone
// do.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Sender is what receivers look up about a domain that sends mail.
type Sender struct {
	Domain   string        // of the From field, in ASCII
	Selector string        // of DKIM
	Keys     []dkim.Record // that mail is signed with; empty: not known here
	IPs      []netip.Addr  // that mail leaves from; empty: those of the domain's mail servers
}

// Records returns what to publish, as far as it is known here: SPF
// (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489).
func (s Sender) Records() []dkim.Record {
	who := " mx"
	if len(s.IPs) > 0 {
		who = ""
	}
	for _, ip := range s.IPs {
		kind := "ip6"
		if ip = ip.Unmap(); ip.Is4() {
			kind = "ip4"
		}
		who += " " + kind + ":" + ip.String()
	}
	out := append([]dkim.Record{{Name: s.Domain, Value: "v=spf1" + who + " -all"}}, s.Keys...)
	return append(out, dkim.Record{Name: "_dmarc." + s.Domain, Value: "v=DMARC1; p=quarantine; rua=mailto:postmaster@" + s.Domain})
}

// Examine asks r for each record of the sender and compares.
func (s Sender) Examine(ctx context.Context, r Resolver) []Result {
	ctx, cancel := context.WithTimeout(ctx, 6*patience)
	defer cancel()
	mx, servers := s.mailServers(ctx, r)
	ips := s.IPs
	if len(ips) == 0 {
		ips = servers
	}
	results := append([]Result{s.spf(ctx, r, ips)}, s.dkim(ctx, r)...)
	results = append(results, s.dmarc(ctx, r), mx)
	if len(ips) == 0 {
		return append(results, Result{Name: "PTR", Detail: "no address is known that mail leaves from", Remedy: "name it with --ip"})
	}
	for _, ip := range ips {
		results = append(results, pointer(ctx, r, ip))
	}
	return results
}

// missing reports whether the DNS says that there is no such record.
func missing(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && d.IsNotFound
}

// unanswered is the result of a question without an answer.
func unanswered(name string, err error) Result {
	return Result{Name: name, Detail: "the DNS does not answer: " + err.Error(), Remedy: "try again, or ask another resolver"}
}

// texts returns the TXT records at a name that begin with a version.
func texts(ctx context.Context, r Resolver, name, version string) ([]string, error) {
	all, err := r.LookupTXT(ctx, name)
	if missing(err) {
		return nil, nil
	}
	var out []string
	for _, t := range all {
		head, _, _ := strings.Cut(strings.NewReplacer(";", " ", "\t", " ").Replace(t), " ")
		if strings.EqualFold(head, version) {
			out = append(out, t)
		}
	}
	return out, err
}

func (s Sender) spf(ctx context.Context, r Resolver, ips []netip.Addr) Result {
	res := Result{Name: "SPF"}
	publish := "publish " + s.Records()[0].Zone()
	found, err := texts(ctx, r, s.Domain, "v=spf1")
	switch {
	case err != nil:
		return unanswered("SPF", err)
	case len(found) == 0:
		res.Detail, res.Remedy = s.Domain+" has no SPF record", publish
		return res
	case len(found) > 1:
		res.Detail, res.Remedy = fmt.Sprintf("%s has %d SPF records, so that none counts", s.Domain, len(found)), "keep one of them"
		return res
	case strings.HasSuffix(found[0], "+all"):
		res.Detail, res.Remedy = "everybody may send: "+found[0], publish
		return res
	}
	for _, ip := range ips {
		result, err := spf.CheckHostWithSender(net.IP(ip.Unmap().AsSlice()), s.Domain, "postmaster@"+s.Domain, spf.WithResolver(r), spf.WithContext(ctx))
		if result != spf.Pass {
			why := ""
			if err != nil {
				why = " (" + err.Error() + ")"
			}
			res.Detail, res.Remedy = fmt.Sprintf("mail from %s is %q%s by %s", ip, result, why, found[0]), "add the address to the record, or name the right one with --ip"
			return res
		}
	}
	res.OK, res.Detail = true, found[0]
	if len(ips) > 0 {
		res.Detail = fmt.Sprintf("%d addresses pass by %s", len(ips), found[0])
	}
	return res
}

// dkim compares each key that is signed with; without any it looks whether the
// one that is published can be used.
func (s Sender) dkim(ctx context.Context, r Resolver) []Result {
	keys := s.Keys
	if len(keys) == 0 {
		keys = []dkim.Record{{Name: s.Selector + "._domainkey." + s.Domain}}
	}
	var out []Result
	for _, k := range keys {
		out = append(out, dkimKey(ctx, r, k))
	}
	return out
}

func dkimKey(ctx context.Context, r Resolver, want dkim.Record) Result {
	res := Result{Name: "DKIM", Remedy: "make a key with: invited keys dkim, and name it with --dkim-key"}
	if want.Value != "" {
		res.Remedy = "publish " + want.Zone()
	}
	found, err := r.LookupTXT(ctx, want.Name)
	switch {
	case missing(err), err == nil && len(found) == 0:
		res.Detail = want.Name + " has no key"
		return res
	case err != nil:
		return unanswered("DKIM", err)
	case len(found) > 1:
		res.Detail, res.Remedy = fmt.Sprintf("%s has %d records, of which receivers take any", want.Name, len(found)), "keep the one of the key in use"
		return res
	}
	got := tags(found[0])
	switch problem := keyProblem(got); {
	case problem != "":
		res.Detail = want.Name + ": " + problem
		return res
	case want.Value != "" && (got["p"] != tags(want.Value)["p"] || kindOf(got) != kindOf(tags(want.Value))):
		res.Detail = want.Name + " has another key than mail is signed with"
		return res
	case strings.Contains(":"+got["t"]+":", ":y:"):
		res.Detail, res.Remedy = want.Name+" says t=y: it is only tested, and receivers ignore it", "remove t=y"
		return res
	}
	return Result{Name: "DKIM", OK: true, Detail: want.Name + " has a " + kindOf(got) + " key"}
}

// tags reads a list such as "v=DKIM1; k=rsa; p=…"; blanks within values go.
func tags(record string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		name, value, ok := strings.Cut(part, "=")
		if ok {
			out[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	return out
}

func kindOf(t map[string]string) string {
	if t["k"] == "" {
		return "rsa"
	}
	return t["k"]
}

// keyProblem says what is wrong with a published key; empty: nothing.
func keyProblem(t map[string]string) string {
	if v, ok := t["v"]; ok && v != "DKIM1" {
		return "the version is not DKIM1"
	}
	if t["p"] == "" {
		return "the key is revoked, or missing"
	}
	der, err := base64.StdEncoding.DecodeString(t["p"])
	if err != nil {
		return "the key is not base64; perhaps it was cut off"
	}
	switch kindOf(t) {
	case "ed25519":
		if len(der) != 32 {
			return "the Ed25519 key has not 32 bytes"
		}
	case "rsa":
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return "the RSA key cannot be read; perhaps it was cut off"
		}
		if k, ok := key.(*rsa.PublicKey); !ok || k.N.BitLen() < 1024 {
			return "the RSA key is shorter than 1,024 bits, so that receivers refuse it (RFC 8301)"
		}
	default:
		return "the kind of key is unknown"
	}
	return ""
}

func (s Sender) dmarc(ctx context.Context, r Resolver) Result {
	res := Result{Name: "DMARC"}
	own := s.Records()
	publish := "publish " + own[len(own)-1].Zone()
	for _, at := range []string{s.Domain, scenario.OrganisationalDomain(s.Domain)} {
		found, err := texts(ctx, r, "_dmarc."+at, "v=DMARC1")
		switch {
		case err != nil:
			return unanswered("DMARC", err)
		case len(found) > 1:
			res.Detail, res.Remedy = fmt.Sprintf("_dmarc.%s has %d records, so that none counts", at, len(found)), "keep one of them"
			return res
		case len(found) == 0:
			continue
		}
		record, err := dmarc.Parse(found[0])
		if err != nil {
			res.Detail, res.Remedy = fmt.Sprintf("_dmarc.%s cannot be read: %v", at, err), publish
			return res
		}
		res.OK, res.Detail = true, "_dmarc."+at+": "+found[0]
		if record.Policy == dmarc.PolicyNone {
			res.Detail += " (receivers only watch; ask for quarantine when SPF and DKIM are in order)"
		}
		return res
	}
	res.Detail, res.Remedy = s.Domain+" has no DMARC record, which large receivers ask of who sends much", publish
	return res
}

// mailServers checks that bounces and answers can be delivered, and returns the
// addresses of the servers that take them.
func (s Sender) mailServers(ctx context.Context, r Resolver) (Result, []netip.Addr) {
	res := Result{Name: "MX"}
	found, err := r.LookupMX(ctx, s.Domain)
	switch {
	case missing(err), err == nil && len(found) == 0:
		res.Detail, res.Remedy = s.Domain+" has no MX record, so that bounces and answers are lost", "publish "+s.Domain+". MX 10 and the name of the server that takes them"
		return res, nil
	case err != nil:
		return unanswered("MX", err), nil
	case len(found) == 1 && strings.Trim(found[0].Host, ".") == "":
		res.Detail, res.Remedy = s.Domain+" says that it takes no mail (RFC 7505), so that many receivers refuse it as a sender", "publish the server that takes bounces"
		return res, nil
	}
	var ips []netip.Addr
	var names []string
	for _, m := range found {
		host := strings.TrimSuffix(m.Host, ".")
		names = append(names, host)
		addrs, err := r.LookupIPAddr(ctx, host)
		if err != nil || len(addrs) == 0 {
			res.Detail, res.Remedy = "the mail server "+host+" has no address", "publish an A or AAAA record for it"
			return res, ips
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				ips = append(ips, ip.Unmap())
			}
		}
	}
	res.OK, res.Detail = true, strings.Join(names, ", ")
	return res, ips
}

// pointer checks that the name of an address leads back to it.
func pointer(ctx context.Context, r Resolver, ip netip.Addr) Result {
	res := Result{Name: "PTR", Remedy: "ask whoever gave you the address to set its name, and publish that name with the address"}
	names, err := r.LookupAddr(ctx, ip.String())
	if missing(err) || err == nil && len(names) == 0 {
		res.Detail = ip.String() + " has no name, so that many receivers refuse it"
		return res
	}
	if err != nil {
		return unanswered("PTR", err)
	}
	for _, name := range names {
		addrs, err := r.LookupIPAddr(ctx, strings.TrimSuffix(name, "."))
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if back, ok := netip.AddrFromSlice(a.IP); ok && back.Unmap() == ip.Unmap() {
				return Result{Name: "PTR", OK: true, Detail: ip.String() + " is " + strings.TrimSuffix(name, ".") + ", and back"}
			}
		}
	}
	res.Detail = fmt.Sprintf("%s is %s, which does not lead back", ip, strings.TrimSuffix(names[0], "."))
	return res
}
