package smtpout

import (
	"context"
	"errors"
	"net"
	"os"

	"invited/mail"
)

// errGone is a kept connection that the relay closed.
var errGone = errors.New("the relay closed the connection")

// errNoTLS and errNoAuth are relays that cannot do what we insist on.
var (
	errNoTLS  = errors.New("the relay does not offer STARTTLS, and the mail is not to travel in clear")
	errNoAuth = errors.New("the relay offers neither AUTH PLAIN nor AUTH LOGIN")

	errNoOAuth      = errors.New("the relay does not offer AUTH XOAUTH2, which a token needs")
	errNoToken      = errors.New("there is no access token for the relay")
	errNoRequireTLS = errors.New("the relay does not offer REQUIRETLS, and the mail is to travel encrypted on all of its way")
	errTooFast      = errors.New("the relay is sent as many mails as it may be")
)

// failure is the attempt that ended at stage for want of a reply.
func failure(stage mail.Stage, err error) mail.Attempt {
	a := mail.Attempt{Stage: stage, Text: clean([]byte(errorText(err)), maxText)}
	if stage == mail.StageTLS {
		a.Enhanced = "4.7.0"
	}
	return a
}

// errorText words an error for the person who reads the delivery's history.
func errorText(err error) string {
	var op *net.OpError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the attempt was broken off"
	case errors.As(err, &op) && op.Op != "dial":
		return op.Err.Error() // without the two addresses, which Relay has
	default:
		return err.Error()
	}
}

// answer is the attempt that ended at stage with r.
func answer(stage mail.Stage, r reply) mail.Attempt {
	a := mail.Attempt{Stage: stage, Code: r.code}
	a.Enhanced, a.Text = splitEnhanced(r.code, clean(r.text, maxText))
	a.Permanent = r.code/100 == 5 && !credentials(a)
	return a
}

// credentials reports whether a refusal is about us and not about the message:
// then a retry makes sense once somebody has put our settings right.
func credentials(a mail.Attempt) bool {
	return a.Code/100 == 5 && (a.Code == 530 || a.Code == 535 || a.Stage == mail.StageAuth)
}
