package smtpout

import "bytes"

// canonical returns raw with every CR, LF and CRLF as one CRLF, and a CRLF at
// its end (RFC 5321 §2.3.8). A relay that takes a bare CR or LF for a line end
// thus sees no line that we did not see, which is what smuggling needs. It
// returns raw itself if there is nothing to change.
func canonical(raw []byte) []byte {
	if isCanonical(raw) {
		return raw
	}
	out := make([]byte, 0, len(raw)+len(raw)/32+2)
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "\r\n")
		if i < 0 {
			out, raw = append(out, raw...), nil
			break
		}
		out = append(append(out, raw[:i]...), '\r', '\n')
		if raw[i] == '\r' && i+1 < len(raw) && raw[i+1] == '\n' {
			i++
		}
		raw = raw[i+1:]
	}
	if !bytes.HasSuffix(out, crlf) {
		out = append(out, crlf...)
	}
	return out
}

var crlf = []byte("\r\n")

// isCanonical reports whether CR and LF occur in raw only as CRLF, and raw ends
// with one.
func isCanonical(raw []byte) bool {
	if !bytes.HasSuffix(raw, crlf) {
		return false
	}
	pairs, feeds := 0, bytes.Count(raw, crlf[1:])
	for {
		i := bytes.IndexByte(raw, '\r')
		if i < 0 {
			return pairs == feeds
		}
		if i+1 == len(raw) || raw[i+1] != '\n' {
			return false
		}
		pairs++
		raw = raw[i+2:]
	}
}

// appendStuffed appends body, which must be canonical, to dst as DATA wants it:
// dots at the start of lines doubled, and the end of data (RFC 5321 §4.5.2).
func appendStuffed(dst, body []byte) []byte {
	if len(body) > 0 && body[0] == '.' {
		dst = append(dst, '.')
	}
	for {
		i := bytes.Index(body, feedDot)
		if i < 0 {
			break
		}
		dst = append(append(dst, body[:i+1]...), '.')
		body = body[i+1:]
	}
	dst = append(dst, body...)
	return append(dst, ".\r\n"...)
}

var feedDot = []byte("\n.")
