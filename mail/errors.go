package mail

import (
	"strconv"
	"strings"
)

// AddressError says why a text is not an address we send to.
type AddressError struct {
	Input  string // as given; may hold anything
	Rule   string // what is wrong, as a clause: "it has no @"
	Remedy string // what to do, as a clause: "write it as name@domain"
}

// Error returns rule and remedy. Control characters of the input are escaped.
func (e *AddressError) Error() string {
	return "mail: address " + quote(e.Input) + ": " + e.Rule + "; " + e.Remedy
}

// Detail returns the same as sentences for people.
func (e *AddressError) Detail() string {
	return "The e-mail address " + quote(e.Input) + " cannot be used: " + e.Rule + ". " + sentence(e.Remedy)
}

// NameError says why a text is not a name we write into a header.
type NameError struct {
	Input  string // as given; may hold anything
	Rule   string // what is wrong, as a clause
	Remedy string // what to do, as a clause
}

// Error returns rule and remedy. Control characters of the input are escaped.
func (e *NameError) Error() string {
	return "mail: name " + quote(e.Input) + ": " + e.Rule + "; " + e.Remedy
}

// Detail returns the same as sentences for people.
func (e *NameError) Detail() string {
	return "The name " + quote(e.Input) + " cannot be used: " + e.Rule + ". " + sentence(e.Remedy)
}

// PathError says why a text is not a path of an SMTP command.
type PathError struct {
	Input string // as given; may hold anything
	Rule  string // what is wrong, as a clause
}

// Error returns the rule. Control characters of the input are escaped.
func (e *PathError) Error() string { return "mail: path " + quote(e.Input) + ": " + e.Rule }

// quote returns s in quotation marks, everything that does not print escaped,
// cut after 100 bytes.
func quote(s string) string {
	const limit = 100
	if len(s) > limit {
		return strconv.Quote(strings.ToValidUTF8(s[:limit], "")) + "…"
	}
	return strconv.Quote(s)
}

// sentence returns a clause as a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
