package index

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is how much of a message's text can be found, in bytes.
const MaxText = 64 << 10

// Doc is what a message can be found by. Each field is matched by itself, as
// text: case and the kind and amount of white space do not count.
type Doc struct {
	From, To, Cc, Bcc, ReplyTo string
	Subject                    string
	MessageID                  string
	Text                       string // words of the body, names of attachments; the first MaxText bytes count
}

// fold returns the fields as they are stored, in the order of the columns.
func (d Doc) fold() []any {
	return []any{
		Fold(d.From), Fold(d.To), Fold(d.Cc), Fold(d.Bcc), Fold(d.ReplyTo),
		Fold(d.Subject), Fold(d.MessageID), Fold(d.Text),
	}
}

// Fold returns s as texts are compared: lower-case, white space and controls
// made single spaces, invalid UTF-8 left out, cut after [MaxText] bytes.
func Fold(s string) string {
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	var b strings.Builder
	b.Grow(len(s))
	space := true // at the beginning
	for i := 0; i < len(s); {
		if c := s[i]; c > ' ' && c < 0x7f { // nearly always
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b.WriteByte(c)
			space = false
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == utf8.RuneError:
		case unicode.IsSpace(r) || unicode.IsControl(r):
			if !space {
				b.WriteByte(' ')
			}
			space = true
		default:
			b.WriteRune(unicode.ToLower(r))
			space = false
		}
	}
	return strings.TrimRight(b.String(), " ")
}
