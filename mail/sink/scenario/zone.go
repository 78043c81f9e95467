package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Limits of a zone file.
const (
	MaxZone    = 1 << 20 // bytes
	MaxRecords = 10_000
	maxName    = 253
	maxValue   = 4096
	maxAliases = 8 // CNAMEs followed for one question
)

// Zone is the part of the DNS a scenario knows; a name that is not in it does
// not exist. The nil Zone is empty. It answers like *net.Resolver, and asks
// nobody.
type Zone struct {
	records map[question][]string // canonical names; values as the kind has them
}

type question struct{ name, kind string }

// ZoneError says which line of a zone file breaks which rule.
type ZoneError struct {
	Line int // from 1
	Rule string
}

// Error returns line and rule.
func (e *ZoneError) Error() string { return fmt.Sprintf("scenario: zone, line %d: %s", e.Line, e.Rule) }

// ParseZone reads a zone file: one record a line, as name, type and value with
// spaces between. Names are complete, with or without a dot at the end; "IN"
// and a number of seconds before the type are passed over. Empty lines, and
// what follows "#" or ";" at the beginning of a line, are comments. The error
// is a [*ZoneError].
//
//	contoso.example                TXT   v=spf1 ip4:192.0.2.10 -all
//	s1._domainkey.contoso.example  TXT   "v=DKIM1; k=rsa; p=MIIB…" "…QAB"
//	mail.contoso.example           A     192.0.2.10
//	contoso.example                MX    10 mail.contoso.example
//	192.0.2.10                     PTR   mail.contoso.example
//	www.contoso.example            CNAME contoso.example
//
// A value of TXT is the rest of the line, or quoted strings, which are joined.
// The name of PTR may be an IP address.
func ParseZone(text string) (*Zone, error) {
	if len(text) > MaxZone {
		return nil, &ZoneError{Line: 1, Rule: "the file is larger than 1 MiB"}
	}
	z := &Zone{records: map[question][]string{}}
	line, count := 0, 0
	for raw := range strings.SplitSeq(text, "\n") {
		line++
		s := strings.TrimSpace(raw)
		if s == "" || s[0] == '#' || s[0] == ';' {
			continue
		}
		if count++; count > MaxRecords {
			return nil, &ZoneError{line, "the file has more than 10,000 records"}
		}
		q, value, err := parseRecord(s)
		if err != nil {
			return nil, &ZoneError{line, err.Error()}
		}
		if q.kind == "CNAME" && len(z.records[q]) > 0 {
			return nil, &ZoneError{line, "the name has a CNAME already"}
		}
		z.records[q] = append(z.records[q], value)
	}
	return z, nil
}

// word cuts the first word off s.
func word(s string) (first, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func parseRecord(s string) (question, string, error) {
	name, rest := word(s)
	kind, value := word(rest)
	if _, err := strconv.ParseUint(kind, 10, 31); err == nil { // time to live
		kind, value = word(value)
	}
	if strings.EqualFold(kind, "IN") {
		kind, value = word(value)
	}
	q := question{kind: strings.ToUpper(kind)}
	if q.kind == "PTR" {
		if ip, err := netip.ParseAddr(name); err == nil {
			name = reverse(ip)
		}
	}
	var ok bool
	if q.name, ok = canonical(name); !ok {
		return q, "", errors.New("the name is not a domain name")
	}
	value, err := parseValue(q.kind, value)
	return q, value, err
}

// parseValue checks a value and returns it as it is kept.
func parseValue(kind, value string) (string, error) {
	if value == "" {
		return "", errors.New("there is no value; a record is name, type and value")
	}
	if len(value) > 2*maxValue {
		return "", errors.New("the value is longer than 4,096 bytes")
	}
	switch kind {
	case "TXT":
		return unquote(value)
	case "A", "AAAA":
		ip, err := netip.ParseAddr(value)
		if err != nil || ip.Zone() != "" || ip.Is4() != (kind == "A") {
			return "", fmt.Errorf("the value of %s is not an address of its kind", kind)
		}
		return ip.String(), nil
	case "MX":
		pref, host := word(value)
		n, err := strconv.ParseUint(pref, 10, 16)
		target, ok := canonical(host)
		if host == "." { // RFC 7505: no mail
			target, ok = ".", true
		}
		if err != nil || !ok {
			return "", errors.New("the value of MX is not a number and a host name")
		}
		return fmt.Sprintf("%d %s", n, target), nil
	case "PTR", "CNAME":
		target, ok := canonical(value)
		if !ok {
			return "", fmt.Errorf("the value of %s is not a host name", kind)
		}
		return target, nil
	default:
		return "", errors.New("the type is none of TXT, A, AAAA, MX, PTR and CNAME")
	}
}

// unquote joins quoted strings; a value that does not begin with a quote is
// taken as it is.
func unquote(value string) (string, error) {
	if value[0] != '"' {
		if len(value) > maxValue {
			return "", errors.New("the value is longer than 4,096 bytes")
		}
		return value, nil
	}
	var b strings.Builder
	for rest := value; rest != ""; {
		if rest[0] != '"' {
			return "", errors.New("there is text between the quoted strings")
		}
		i := 1
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			b.WriteByte(rest[i])
		}
		if i >= len(rest) {
			return "", errors.New("a quoted string has no end")
		}
		rest = strings.TrimLeft(rest[i+1:], " \t")
	}
	if b.Len() > maxValue {
		return "", errors.New("the value is longer than 4,096 bytes")
	}
	return b.String(), nil
}

// canonical returns a domain name in lower case without a dot at its end.
func canonical(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxName {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsAny(label, " \t\r\n\"\\;") {
			return "", false
		}
	}
	return name, true
}

// reverse returns the name under which PTR records of an address lie.
func reverse(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		b := ip.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
	}
	const hex = "0123456789abcdef"
	b := ip.As16()
	out := make([]byte, 0, 72)
	for i := len(b) - 1; i >= 0; i-- {
		out = append(out, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(out) + "ip6.arpa"
}

// lookup returns the values at a name, aliases followed, or a *net.DNSError
// that says the name does not exist or has no such record.
func (z *Zone) lookup(name, kind string) ([]string, error) {
	missing := &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	name, ok := canonical(name)
	if z == nil || !ok {
		return nil, missing
	}
	for range maxAliases {
		if values := z.records[question{name, kind}]; len(values) > 0 {
			return values, nil
		}
		alias := z.records[question{name, "CNAME"}]
		if len(alias) == 0 {
			return nil, missing
		}
		name = alias[0]
	}
	return nil, &net.DNSError{Err: "too many aliases", Name: name}
}

// TXT returns the TXT records at a name.
func (z *Zone) TXT(name string) ([]string, error) { return z.lookup(name, "TXT") }

// LookupTXT returns the TXT records at a name.
func (z *Zone) LookupTXT(_ context.Context, name string) ([]string, error) { return z.TXT(name) }

// LookupMX returns the mail servers of a domain, in the order of the file.
func (z *Zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	values, err := z.lookup(name, "MX")
	out := make([]*net.MX, 0, len(values))
	for _, v := range values {
		pref, host := word(v)
		n, _ := strconv.ParseUint(pref, 10, 16) // checked when it was read
		out = append(out, &net.MX{Pref: uint16(n), Host: host})
	}
	return out, err
}

// LookupIPAddr returns the addresses of a host.
func (z *Zone) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	four, err := z.lookup(host, "A")
	six, err6 := z.lookup(host, "AAAA")
	if err != nil && err6 != nil {
		return nil, err
	}
	var out []net.IPAddr
	for _, v := range append(append([]string(nil), four...), six...) {
		out = append(out, net.IPAddr{IP: net.ParseIP(v)})
	}
	return out, nil
}

// LookupAddr returns the names of an address, each with a dot at its end.
func (z *Zone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "unrecognized address", Name: addr}
	}
	values, err := z.lookup(reverse(ip), "PTR")
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, v+".")
	}
	return out, err
}
