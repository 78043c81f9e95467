package dkim

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// Status is the result of checking one signature, in the words of RFC 8601
// section 2.7.1.
type Status string

// The results.
const (
	Pass      Status = "pass"
	Fail      Status = "fail"      // header or body is not what was signed
	PermError Status = "permerror" // the signature or its key record can never be used
	TempError Status = "temperror" // the key could not be looked up for now
)

// Result is what is found out about one signature.
type Result struct {
	Domain    string // d=, in lower case; may be empty if the signature cannot be read
	Selector  string // s=
	Algorithm string // a=, such as "rsa-sha256"
	Fields    []string
	Signed    time.Time // t=; zero if it does not say
	Status    Status
	Problem   string // why it did not pass; empty if it did
}

// What a mail may cost to verify. Beyond, its signatures are not looked at.
const (
	maxHeader     = 256 << 10 // bytes
	maxFields     = 1000
	maxLines      = 3000    // of the header: joining folded lines takes quadratic time
	maxSignature  = 8 << 10 // bytes of one signature
	maxNames      = 300     // fields one signature names
	maxSignatures = 5
)

// Verify checks the signatures of a mail, from top to bottom; a mail without
// any has no results. lookupTXT returns the TXT records at a name, strings of
// one record joined; an error with a method Temporary that answers true makes a
// TempError.
//
// Signatures beyond the fifth are a PermError, as are all of a header that is
// out of measure: 256 KiB, 1,000 fields, 3,000 lines, 8 KiB and 300 names for one signature.
func Verify(raw []byte, lookupTXT func(name string) ([]string, error)) []Result {
	results, sound := signatures(raw)
	if len(results) == 0 || !sound {
		return results
	}
	checked, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{
		LookupTXT: lookupTXT, MaxVerifications: maxSignatures,
	})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) {
		return refuse(results, "the mail cannot be read: "+trim(err))
	}
	if len(checked) != min(len(results), maxSignatures) {
		return refuse(results, "the signatures cannot be told apart")
	}
	for i, v := range checked {
		r := &results[i]
		r.Fields, r.Signed, r.Status, r.Problem = v.HeaderKeys, v.Time, Pass, ""
		if v.Err != nil {
			r.Status, r.Problem = statusOf(v.Err), trim(v.Err)
		}
	}
	return results
}

func statusOf(err error) Status {
	switch {
	case dkim.IsTempFail(err):
		return TempError
	case dkim.IsPermFail(err):
		return PermError
	default:
		return Fail
	}
}

func trim(err error) string { return strings.TrimPrefix(err.Error(), "dkim: ") }

func refuse(results []Result, why string) []Result {
	for i := range results {
		results[i].Status, results[i].Problem = PermError, why
	}
	return results
}

// signatures finds the signatures of a mail, each a PermError as long as
// nobody has looked at it, and reports whether they may be looked at.
func signatures(raw []byte) (found []Result, sound bool) {
	rest, fields, lines, ended := raw[:min(len(raw), maxHeader)], 0, 0, false
	sound = true
	for len(rest) > 0 && !ended {
		field := rest[:fieldEnd(rest)]
		rest = rest[len(field):]
		fields++
		lines += bytes.Count(field, []byte("\n"))
		ended = len(bytes.Trim(field, "\r\n")) == 0
		name, value, _ := strings.Cut(string(field[:min(len(field), maxSignature)]), ":")
		if !strings.EqualFold(strings.TrimSpace(name), "DKIM-Signature") {
			continue
		}
		sound = sound && len(field) <= maxSignature && strings.Count(value, ":") <= maxNames
		found = append(found, describe(value))
	}
	sound = sound && fields <= maxFields && lines <= maxLines && (ended || len(raw) <= maxHeader)
	if !sound {
		return refuse(found[:min(len(found), maxSignatures)], "the header is too large to be checked"), false
	}
	for i := range found {
		found[i].Status, found[i].Problem = PermError, "the mail has too many signatures"
	}
	return found, true
}

// fieldEnd returns the length of the field b begins with, folded lines
// included.
func fieldEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return len(b)
		}
		i += n + 1
		if i >= len(b) || b[i] != ' ' && b[i] != '\t' {
			return i
		}
	}
}

// describe reads who signed from the value of a signature.
func describe(value string) (r Result) {
	for tag := range strings.SplitSeq(value, ";") {
		name, v, _ := strings.Cut(tag, "=")
		v = strings.Join(strings.Fields(v), "")
		switch strings.TrimSpace(name) {
		case "d":
			r.Domain = strings.ToLower(v)
		case "s":
			r.Selector = v
		case "a":
			r.Algorithm = v
		}
	}
	return r
}
