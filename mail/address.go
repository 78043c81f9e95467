package mail

import "strings"

// Address is a mailbox we are willing to send to. Make one with
// [ParseAddress]; the zero value is "no address".
type Address struct {
	Local  string // as given; its case is kept
	Domain string // lower-case A-label form (RFC 5890), without trailing dot
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
