package smtpout

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReply is how much of one reply is read before the relay is given up on.
const maxReply = 64 << 10

// maxText is how much of a reply is kept in an attempt.
const maxText = 1 << 10

// errReplyTooLong is the refusal of a reply above maxReply.
var errReplyTooLong = errors.New("the relay's reply is longer than 64 KiB")

// garbageError is a line that is not part of an SMTP reply.
type garbageError struct{ line string }

func (e *garbageError) Error() string {
	return fmt.Sprintf("the relay sent %q, which is not an SMTP reply", e.line)
}

// reply is one SMTP reply (RFC 5321 §4.2). Its text is valid until the next
// read.
type reply struct {
	code int
	text []byte // lines without code, separated by LF
}

func (r reply) ok() bool { return r.code/100 == 2 }

// replyReader reads replies. It takes LF for CRLF, a code without text, and
// bytes of any value in the text; it does not take a line cut off by the end of
// the stream for a reply.
type replyReader struct {
	br   *bufio.Reader
	text []byte
	long []byte // start of a line that did not fit br's buffer
}

// read returns the next reply.
func (r *replyReader) read() (reply, error) {
	r.text = r.text[:0]
	budget, code := maxReply, 0
	for first := true; ; first = false {
		line, err := r.line(&budget)
		if err != nil {
			return reply{}, err
		}
		c, last, ok := parseLine(line)
		if !ok || (!first && c != code) {
			return reply{}, &garbageError{line: clean(line, 80)}
		}
		code = c
		if !first {
			r.text = append(r.text, '\n')
		}
		if len(line) > 4 {
			r.text = append(r.text, line[4:]...)
		}
		if last {
			return reply{code: code, text: r.text}, nil
		}
	}
}

// line returns the next line without its end. Of a line that exceeds the
// buffer only the start is kept.
func (r *replyReader) line(budget *int) ([]byte, error) {
	part, err := r.br.ReadSlice('\n')
	*budget -= len(part)
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = append(r.long[:0], part...)
		for errors.Is(err, bufio.ErrBufferFull) && *budget >= 0 {
			part, err = r.br.ReadSlice('\n')
			*budget -= len(part)
		}
		part = r.long
	}
	switch {
	case *budget < 0:
		return nil, errReplyTooLong
	case errors.Is(err, io.EOF) && *budget < maxReply:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(part, crlf[1:]), crlf[:1]), nil
}

// parseLine reads the code of a reply line and whether it is the last one.
func parseLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		code = code*10 + int(c-'0')
	}
	switch {
	case len(line) == 3 || line[3] == ' ':
		return code, true, true
	case line[3] == '-':
		return code, false, true
	default:
		return 0, false, false
	}
}

// splitEnhanced takes the enhanced status code (RFC 2034) off each line of a
// reply's text, if it has one and its class agrees with the code.
func splitEnhanced(code int, text string) (enhanced, rest string) {
	n := enhancedLen(text)
	if n == 0 || int(text[0]-'0') != code/100 {
		return "", text
	}
	enhanced = text[:n]
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(l, enhanced), " ")
	}
	return enhanced, strings.Join(lines, "\n")
}

// enhancedLen returns the length of the "d.ddd.ddd" that s begins with, 0 if
// it does not.
func enhancedLen(s string) int {
	i := 0
	for part := range 3 {
		if part > 0 {
			if i >= len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
		start := i
		for i < len(s) && i-start < 3 && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == start {
			return 0
		}
	}
	if i < len(s) && s[i] != ' ' && s[i] != '\n' {
		return 0
	}
	return i
}

// clean returns the first limit bytes of what a relay said in a form that can
// be stored and shown: valid UTF-8, no control characters but LF.
func clean(b []byte, limit int) string {
	cut := len(b) > limit
	if cut {
		b = b[:limit]
	}
	s := strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
	for len(s) > limit { // replacement characters are longer than what they replace
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
