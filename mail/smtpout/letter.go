package smtpout

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"invited/mail"
)

// letter is a message checked and ready for the wire.
type letter struct {
	from, to string
	body     []byte // canonical, not dot-stuffed
	eightBit bool   // the body has bytes above 127 (RFC 6152)
	utf8     bool   // an address has (RFC 6531)
}

// errNoBody is the refusal of an empty message.
var errNoBody = errors.New("smtpout: the message is empty")

// newLetter refuses what could break out of an SMTP command line.
func newLetter(m mail.Message) (letter, error) {
	l := letter{from: m.From, to: m.To.String()}
	if l.from != "" && !addressSafe(l.from) {
		return letter{}, errors.New("smtpout: the sender's address contains a character that is not allowed in an SMTP command")
	}
	if m.To.Local == "" || m.To.Domain == "" || !addressSafe(l.to) {
		return letter{}, errors.New("smtpout: the recipient's address is empty or contains a character that is not allowed in an SMTP command")
	}
	if len(m.Raw) == 0 {
		return letter{}, errNoBody
	}
	l.body = canonical(m.Raw)
	l.eightBit = !ascii(l.body)
	l.utf8 = !ascii([]byte(l.from)) || !ascii([]byte(l.to))
	return l, nil
}

// maxAddress is local part, at sign and domain of RFC 5321 §4.5.3.1.
const maxAddress = 64 + 1 + 255

// addressSafe reports whether s may stand between the angle brackets of MAIL
// and RCPT.
func addressSafe(s string) bool {
	if len(s) > maxAddress || !wireSafe(s) {
		return false
	}
	for i := range len(s) {
		if s[i] == '<' || s[i] == '>' {
			return false
		}
	}
	return true
}

// wireSafe reports whether s is valid UTF-8 without spaces and controls (C0,
// C1, and the line separators of Unicode).
func wireSafe(s string) bool {
	for _, r := range s {
		switch {
		case r <= ' ', r >= 0x7f && r <= 0xa0, r == '\u2028', r == '\u2029', r == utf8.RuneError:
			return false
		}
	}
	return true
}

// ascii reports whether b has no byte above 127.
func ascii(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
