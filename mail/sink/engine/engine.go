// Package engine asks real spam filters what they think of captured mail:
// rspamd over HTTP, and SpamAssassin's spamd over its own protocol.
//
// They are asked after a message was received, stored and judged by the rules,
// so that a filter that is slow, broken or gone costs an opinion and nothing
// else. Their opinion is added to the verdict and moves no mail. The package
// talks only to the filters it was given, and follows nothing they say.
//
//	sink ──New──▶ Runner ──▶ queue ──▶ rspamd, spamd ──▶ Sink.AddOpinion
package engine

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"invited/mail/sink/rules"
)

// Mail is what a filter is told of a message.
type Mail struct {
	Raw      []byte
	IP       string // of the client; empty: not told
	Helo     string
	Hostname string // reverse name of the client; may be empty
	From     string // reverse-path without brackets; empty is the null sender
	Rcpt     []string
	User     string // of AUTH; may be empty
	Received time.Time
}

// Engine is a spam filter.
type Engine interface {
	// Name is how verdicts call it.
	Name() string
	// Check asks it once. Its error says in a few words what went wrong, and
	// names no secret.
	Check(ctx context.Context, m Mail) (rules.Engine, error)
}

// Timeout is how long a filter may take for one answer.
const Timeout = 2 * time.Second

const (
	tries     = 2       // the first and one more
	maxMail   = 8 << 20 // bytes; larger mail is not shown to filters
	maxAnswer = 1 << 20 // bytes
	maxText   = 200     // bytes of a name or description
	maxRules  = 1000    // symbols kept of an answer
)

// Errors that callers may tell apart.
var (
	ErrTooLarge = errors.New("engine: the message is larger than 8 MiB")
	ErrAnswer   = errors.New("engine: the answer cannot be understood")
)

// Ask asks a filter, and once more if it fails. What it says, or that it
// cannot be reached, is the opinion.
func Ask(ctx context.Context, e Engine, m Mail) rules.Engine {
	opinion, err := check(ctx, e, m)
	if err != nil {
		opinion = rules.Engine{Error: explain(err)}
	}
	opinion.Name = e.Name()
	if opinion.Symbols == nil {
		opinion.Symbols = []rules.Symbol{}
	}
	return opinion
}

func check(ctx context.Context, e Engine, m Mail) (opinion rules.Engine, err error) {
	if len(m.Raw) > maxMail {
		return opinion, ErrTooLarge
	}
	for range tries {
		if opinion, err = e.Check(ctx, m); err == nil || ctx.Err() != nil {
			return opinion, err
		}
	}
	return opinion, err
}

// explain words a failure.
func explain(err error) string {
	var timeout net.Error
	var dial *net.OpError
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrAnswer):
		return strings.TrimPrefix(err.Error(), "engine: ")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "unavailable: no answer in time"
	case errors.As(err, &dial):
		return "unavailable: it cannot be reached"
	default:
		return "unavailable: " + clip(strings.TrimPrefix(err.Error(), "engine: "))
	}
}

// clip shortens foreign text to one line of valid UTF-8.
func clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// printable removes what could break out of a line of a protocol.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
