package pop3d

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Limits of what a client says (RFC 2449 section 4 asks for 255 bytes; names
// are addresses, which may be longer).
const (
	maxLine   = 512
	maxErrors = 10 // in a row
)

var errLine = errors.New("pop3d: line too long")

// command is one line of a client.
type command struct {
	verb string // upper-case
	args string // the rest: passwords may hold spaces
}

// parse reads a line without its end. A line that is no command has no verb.
func parse(line string) command {
	verb, args, _ := strings.Cut(strings.TrimRight(line, " "), " ")
	for _, c := range []byte(verb) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return command{}
		}
	}
	if len(verb) < 3 || len(verb) > 4 || strings.ContainsFunc(args, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return command{}
	}
	return command{verb: strings.ToUpper(verb), args: args}
}

// numbers reads the arguments as up to n numbers; false if they are not, or if
// there are fewer than least.
func (c command) numbers(least, n int) ([]int, bool) {
	words := strings.Fields(c.args)
	if len(words) < least || len(words) > n {
		return nil, false
	}
	out := make([]int, len(words))
	for i, w := range words {
		v, err := strconv.ParseUint(w, 10, 31)
		if err != nil || w[0] == '+' {
			return nil, false
		}
		out[i] = int(v)
	}
	return out, true
}

// readLine returns the next line without CRLF. A bare LF ends one, too: what
// a client says is no mail.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
		return "", errLine
	}
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))), nil
}

// lines makes every line end CRLF, and adds one at the end.
func lines(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+2)
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') || i > 0 && raw[i-1] == '\r' && c != '\n' {
			if c == '\n' {
				out = append(out, '\r')
			} else {
				out = append(out, '\n')
			}
		}
		out = append(out, c)
	}
	if n := len(raw); n > 0 && raw[n-1] == '\r' {
		out = append(out, '\n')
	} else if n > 0 && raw[n-1] != '\n' {
		out = append(out, "\r\n"...)
	}
	return out
}

// stuff writes a dot before every line that begins with one, and the dot that
// ends a reply (RFC 1939 section 3).
func stuff(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/64+3)
	for len(text) > 0 {
		if text[0] == '.' {
			out = append(out, '.')
		}
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		out, text = append(out, text[:end]...), text[end:]
	}
	return append(out, ".\r\n"...)
}

// top returns the header of a message and n lines of its body.
func top(text []byte, n int) []byte {
	body := false
	for at := 0; at < len(text); {
		if body {
			if n == 0 {
				return text[:at]
			}
			n--
		}
		end := bytes.IndexByte(text[at:], '\n') + 1
		if end == 0 {
			return text
		}
		body = body || end == 2 // the empty line
		at += end
	}
	return text
}
