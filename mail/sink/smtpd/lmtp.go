package smtpd

import (
	"fmt"

	"github.com/emersion/go-smtp"

	"invited/mail/sink"
	"invited/mail/sink/faults"
)

// LMTP (RFC 2033) differs from SMTP in its greeting, in LHLO, and in that the
// end of a message has one reply for each recipient. go-smtp is told SMTP, and
// the gate translates.

// lmtpHello turns LHLO into what go-smtp knows, and refuses the others.
func (g *gate) lmtpHello(verb string) bool {
	if verb != "LHLO" {
		return g.fail("500 5.5.1 this is LMTP: say LHLO")
	}
	g.line = "EHLO" + g.line[len("LHLO"):]
	return true
}

// storeEach stores a message for those recipients for whom no fault is asked,
// and prepares a reply for each.
func (s *session) storeEach(env sink.Envelope, raw []byte) error {
	var kept []string
	refused := map[int]*smtp.SMTPError{}
	for i, to := range env.To {
		if err := s.fault(faults.Data, env.From, to); err != nil {
			refused[i] = err
			continue
		}
		kept = append(kept, to)
	}
	word := func(id string, stored *smtp.SMTPError) []string {
		var lines []string
		for i, to := range env.To {
			err := stored
			if refused[i] != nil {
				err = refused[i]
			}
			if err == nil {
				err = reply(250, smtp.EnhancedCode{2, 1, 5}, "Ok: queued as %s", id)
			}
			lines = append(lines, fmt.Sprintf("%d %d.%d.%d <%s> %s", err.Code, err.EnhancedCode[0], err.EnhancedCode[1], err.EnhancedCode[2], to, err.Message))
		}
		return lines
	}
	var id string
	var failure *smtp.SMTPError
	if len(kept) > 0 {
		all := env
		all.To = kept
		id, failure = s.receive(all, raw, word(sink.TranscriptID, nil))
	}
	s.gate.mu.Lock()
	s.gate.final = word(id, failure)
	s.gate.mu.Unlock()
	if failure != nil {
		return failure
	}
	return reply(250, smtp.EnhancedCode{2, 0, 0}, "done") // the gate says the prepared ones
}

// finalReplies returns the replies to a message, one for each recipient: what
// the session has prepared, or else p again and again. The caller holds g.mu.
func (g *gate) finalReplies(p string) []string {
	lines := g.final
	g.bodyDue, g.final = false, nil
	if len(lines) == 0 {
		for range max(1, g.rcpts) {
			lines = append(lines, p)
		}
	}
	return lines
}
