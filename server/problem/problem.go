// Package problem is the one error type that crosses package borders in the
// server: what kind of failure it is, which documented reason it has, and one
// sentence that may be shown to the caller.
//
// It does not know how a failure is displayed. Each HTTP face translates an
// [Error] once: [Kind] decides the status, [Reason] decides the words.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies a failure. The set is closed: every face maps every kind.
type Kind uint8

// The kinds, each with the HTTP status the faces give it.
const (
	Internal         Kind = iota // 500: our fault; the cause is logged, never shown
	Invalid                      // 400: the caller sent something that breaks a stated rule
	Unauthenticated              // 401: no credential, or one that does not verify
	Denied                       // 403: known caller, not allowed
	NotFound                     // 404: absent, or not visible to this caller
	MethodNotAllowed             // 405: the resource exists, the verb does not apply
	Conflict                     // 409: the state of the object forbids it
	Gone                         // 410: it existed and will not come back
	TooLarge                     // 413: over a stated limit
	Unsupported                  // 415: media type or encoding we do not read
	TooMany                      // 429: rate limit; RetryAfter is set
	Unavailable                  // 503: try again; RetryAfter may be set
	Full                         // 507: no space left to keep a promise
	NotImplemented               // 501: part of a standard interface that we do not offer
)

// String returns the kind as it is written to logs.
func (k Kind) String() string {
	names := [...]string{
		"internal", "invalid", "unauthenticated", "denied", "not_found", "method_not_allowed", "conflict",
		"gone", "too_large", "unsupported", "too_many", "unavailable", "full", "not_implemented",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", k)
}

// Error is a classified failure.
type Error struct {
	Kind       Kind
	Reason     Reason        // NoReason if the failure has no entry in the guide
	Op         string        // where it happened, as "package.Func"
	Field      string        // the input at fault, as the caller spells it; may be empty
	Detail     string        // one or two sentences, safe to show to the caller
	RetryAfter time.Duration // for TooMany and Unavailable; 0 means not stated
	Err        error         // the cause; logged, never shown
}

// Error returns the text for logs, cause included.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Detail
	if e.Reason != NoReason {
		s += " [" + string(e.Reason) + "]"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the [Error] in err's chain. An error that has none is Internal.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Op: "unknown", Detail: "internal error", Err: err}
}

// Is reports whether err is a problem of this kind.
func Is(err error, k Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == k
}

// Has reports whether err is a problem with this reason.
func Has(err error, r Reason) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == r
}

// BadField returns an Invalid problem for one input field.
func BadField(op, field, detail string) *Error {
	return &Error{Kind: Invalid, Reason: BadInput, Op: op, Field: field, Detail: detail}
}
