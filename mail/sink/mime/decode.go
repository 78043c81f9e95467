package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

func itoa(n int) string { return strconv.Itoa(n) }

// hexDigit is the value of a hexadecimal digit, or -1.
var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()

// base64Digit reports the bytes of the base64 alphabet.
var base64Digit = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = true
	}
	return t
}()

func decodeTransfer(encoding string, raw []byte) []byte {
	switch encoding {
	case "base64":
		return decodeBase64(raw)
	case "quoted-printable":
		return decodeQuotedPrintable(raw)
	default:
		return raw
	}
}

// decodedSize is len(decodeTransfer(encoding, raw)), without the copy. It cannot
// count quoted-printable.
func decodedSize(encoding string, raw []byte) int {
	switch encoding {
	case "base64":
		n := 0
		for _, c := range raw {
			if base64Digit[c] {
				n++
			} else if c == '=' {
				break
			}
		}
		return base64.RawStdEncoding.DecodedLen(n - b2i(n%4 == 1))
	default:
		return len(raw)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// decodeBase64 reads up to the padding and skips bytes outside the alphabet
// (RFC 2045 section 6.8).
func decodeBase64(raw []byte) []byte {
	digits := make([]byte, 0, len(raw))
	for _, c := range raw {
		if base64Digit[c] {
			digits = append(digits, c)
		} else if c == '=' {
			break
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	n, _ := base64.RawStdEncoding.Decode(digits, digits) // in place: the output is shorter
	return digits[:n]
}

// decodeQuotedPrintable reads RFC 2045 section 6.7 and keeps what is no valid
// escape as it stands.
func decodeQuotedPrintable(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		line, next := lineAt(raw, 0)
		raw = raw[next:]
		end := line[len(bytes.TrimRight(line, "\r\n")):]
		text := bytes.TrimRight(line[:len(line)-len(end)], " \t")
		soft := bytes.HasSuffix(text, []byte("="))
		if soft {
			text = text[:len(text)-1]
		}
		for {
			i := bytes.IndexByte(text, '=')
			if i < 0 {
				out = append(out, text...)
				break
			}
			out = append(out, text[:i]...)
			if i+2 < len(text) && hexDigit[text[i+1]] >= 0 && hexDigit[text[i+2]] >= 0 {
				out = append(out, byte(hexDigit[text[i+1]])<<4|byte(hexDigit[text[i+2]]))
				text = text[i+3:]
				continue
			}
			out = append(out, '=')
			text = text[i+1:]
		}
		if !soft {
			out = append(out, end...)
		}
	}
	return out
}

// toUTF8 converts b from the named character set. An unknown or absent name is
// guessed; bytes that mean nothing become U+FFFD.
func toUTF8(name string, b []byte) string {
	switch strings.ToLower(name) {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		if utf8.Valid(b) {
			return string(b)
		}
		if strings.HasPrefix(strings.ToLower(name), "utf") {
			return strings.ToValidUTF8(string(b), "\uFFFD")
		}
		return decodeUnlabelled(b)
	}
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		return decodeUnlabelled(b)
	}
	out, _ := io.ReadAll(r) // what was converted before an error is kept
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// knownCharset reports whether toUTF8 can convert from name.
func knownCharset(name string) bool {
	switch strings.ToLower(name) {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		return true
	}
	_, err := charset.Reader(name, bytes.NewReader(nil))
	return err == nil
}

// decodeUnlabelled reads bytes of no declared character set: UTF-8 if they are
// that, else Windows-1252, as browsers do.
func decodeUnlabelled(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}
