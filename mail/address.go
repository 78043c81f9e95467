package mail

import (
	netmail "net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321 §4.5.3.1, and our own cap on what is looked at at all.
const (
	maxInput   = 320 // bytes of text [ParseAddress] reads
	maxLocal   = 64
	maxAddress = 254 // 256 of the path, without its brackets
	maxDomain  = 253
	maxLabel   = 63
)

// Address is a mailbox we are willing to send to. Make one with
// [ParseAddress]; the zero value is "no address".
type Address struct {
	Local  string // as given; its case is kept
	Domain string // lower-case A-label form (RFC 5890), without trailing dot
}

// ParseAddress reads one bare address, local@domain.
//
// It is stricter than RFC 5322: the local part is an ASCII dot-atom of at most
// 64 bytes; the domain has at least two labels, follows IDNA2008 and is not an
// address literal; there is no display name, comment, quoting or surrounding
// space. Local parts outside ASCII would need SMTPUTF8 on the whole way and
// are refused. The error is an [*AddressError].
func ParseAddress(s string) (Address, error) {
	refuse := func(rule, remedy string) (Address, error) {
		return Address{}, &AddressError{Input: s, Rule: rule, Remedy: remedy}
	}
	switch {
	case s == "":
		return refuse("it is empty", "write it as name@domain")
	case len(s) > maxInput:
		return refuse("it is longer than 320 bytes", "check that it is one address only")
	}
	if rule := hostileText(s); rule != "" {
		return refuse(rule, "type the address anew instead of pasting it")
	}
	if rule, remedy := decoration(s); rule != "" {
		return refuse(rule, remedy)
	}
	local, domain, _ := strings.Cut(s, "@")
	if rule, remedy := checkLocal(local); rule != "" {
		return refuse(rule, remedy)
	}
	ascii, rule, remedy := asciiDomain(domain)
	if rule != "" {
		return refuse(rule, remedy)
	}
	a := Address{Local: local, Domain: ascii}
	if len(a.String()) > maxAddress {
		return refuse("it is longer than 254 bytes", "use a shorter address")
	}
	// A second opinion: what the standard library reads must be what we read.
	if std, err := netmail.ParseAddress(a.String()); err != nil || std.Name != "" || std.Address != a.String() {
		return refuse("it does not follow RFC 5322", "write it as name@domain")
	}
	return a, nil
}

// decoration returns what is wrong with the frame of an address: anything
// around or between the two parts.
func decoration(s string) (rule, remedy string) {
	switch {
	case strings.TrimSpace(s) != s:
		return "it begins or ends with a space", "remove the space"
	case strings.HasSuffix(s, ">"):
		return "it has a display name or angle brackets", "give only the part between the brackets"
	case strings.ContainsAny(s, ",;"):
		return "it holds a comma or semicolon", "give one address at a time"
	case strings.Contains(s, `"`):
		return "its local part is quoted", "use an address that needs no quotation marks"
	case strings.ContainsAny(s, "()"):
		return "it holds a comment in parentheses", "remove the parentheses"
	case strings.IndexFunc(s, isSpace) >= 0:
		return "it holds a space", "remove the space"
	case !strings.Contains(s, "@"):
		return "it has no @", "write it as name@domain"
	case strings.Count(s, "@") > 1:
		return "it has more than one @", "give one address at a time"
	}
	return "", ""
}

// checkLocal returns what is wrong with a local part.
func checkLocal(local string) (rule, remedy string) {
	switch {
	case local == "":
		return "nothing stands before the @", "write it as name@domain"
	case len(local) > maxLocal:
		return "the part before the @ is longer than 64 bytes", "use a shorter address"
	case !isASCII(local):
		return "the part before the @ holds letters outside ASCII", "use the address that the mailbox has for mail from abroad"
	case !isDotAtom(local):
		return "the part before the @ has a dot at its start or end, two dots in a row, or a character that needs quoting", "check the spelling"
	}
	return "", ""
}

// asciiDomain returns the A-label form of a domain, or what is wrong with it.
func asciiDomain(domain string) (ascii, rule, remedy string) {
	switch {
	case domain == "":
		return "", "nothing stands after the @", "write it as name@domain"
	case strings.HasPrefix(domain, "["):
		return "", "its domain is an IP address in brackets", "use the name of the domain"
	case strings.HasSuffix(domain, "."):
		return "", "its domain ends in a dot", "remove the dot"
	}
	ascii = domain
	if !isLowerLDH(domain) || strings.Contains(domain, "xn--") {
		var err error
		if ascii, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", "its domain is not a valid (internationalised) domain name", "check the spelling of the domain"
		}
	}
	if len(ascii) > maxDomain {
		return "", "its domain is longer than 253 bytes", "check the spelling of the domain"
	}
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 {
		return "", "its domain has no dot", "give the whole domain, such as fabrikam.example"
	}
	for _, label := range labels {
		if !isHostLabel(label) {
			return "", "its domain has a part that is empty, longer than 63 bytes, or not made of letters, digits and inner hyphens", "check the spelling of the domain"
		}
	}
	if isDigits(labels[len(labels)-1]) {
		return "", "its domain ends in a number, as an IP address does", "use the name of the domain"
	}
	return ascii, "", ""
}

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// String returns local@domain as it goes on the wire.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.Local + "@" + a.Domain
}

// Key returns the form by which two spellings of one mailbox compare equal:
// everything in lower case.
func (a Address) Key() string { return strings.ToLower(a.String()) }

// LimitKey returns the form that sending limits count by: the local part in
// lower case without dots and without what follows a plus sign, so that
// spelling variants of one mailbox share one limit. It is not deliverable.
func (a Address) LimitKey() string {
	if a.IsZero() {
		return ""
	}
	local, _, _ := strings.Cut(strings.ToLower(a.Local), "+")
	local = strings.ReplaceAll(local, ".", "")
	if local == "" {
		local = strings.ToLower(a.Local)
	}
	return local + "@" + a.Domain
}

// Display returns the address for people, its domain in U-label form. A domain
// that earns a [Warning] stays in A-label form, as browsers do.
func (a Address) Display() string {
	if !strings.Contains(a.Domain, "xn--") || len(a.Warnings()) > 0 {
		return a.String()
	}
	u, err := idna.Display.ToUnicode(a.Domain)
	if err != nil || hostileText(u) != "" {
		return a.String()
	}
	return a.Local + "@" + u
}

// notInvitable are the characters Entra does not take in the local part of
// invitedUserEmailAddress. Source: Graph resource invitation.
const notInvitable = `~!#$%^&*()+=[]{}\/|;:"'<>?,`

// Invitable returns an [*AddressError] if an invitation may not go to a, by
// the rules for invitedUserEmailAddress of Graph's invitation resource: some
// characters are refused, and the local part neither begins nor ends with a
// dot or hyphen. allowPlus lets "+" through: the built-in sink routes on it.
func (a Address) Invitable(allowPlus bool) error {
	refuse := func(rule, remedy string) error {
		return &AddressError{Input: a.String(), Rule: rule, Remedy: remedy}
	}
	if a.IsZero() {
		return refuse("it is empty", "write it as name@domain")
	}
	for i := range len(a.Local) {
		switch c := a.Local[i]; {
		case c == '+' && allowPlus:
		case c == '+':
			return refuse("the part before the @ holds +", "leave out the + and what follows it")
		case strings.IndexByte(notInvitable, c) >= 0:
			return refuse("the part before the @ holds "+string(c), "use an address of letters, digits, dots, hyphens and underscores")
		}
	}
	if first, last := a.Local[0], a.Local[len(a.Local)-1]; first == '-' || first == '.' || last == '-' || last == '.' {
		return refuse("the part before the @ begins or ends with a dot or hyphen", "check the spelling")
	}
	return nil
}
