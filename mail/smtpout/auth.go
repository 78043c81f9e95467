package smtpout

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"invited/mail"
)

// A login is one way to present credentials (RFC 4954).
type login struct {
	line    string   // the command, with the initial response if it has one
	secret  string   // password or token
	answers [][]byte // to the challenges, in order; further ones are refused
}

// auth presents the credentials of the relay URL, never in clear.
func (c *conn) auth() (mail.Attempt, bool) {
	if !c.tls {
		return failure(mail.StageAuth, errors.New("the connection is in clear, credentials are not sent over it")), false
	}
	l, err := c.login()
	if err != nil {
		return failure(mail.StageAuth, err), false
	}
	line := l.line
	for step := 0; ; step++ {
		r, err := c.command(line, c.pool.opts.Timeouts.Hello)
		switch {
		case err != nil:
			return failure(mail.StageAuth, err), false
		case r.code == 235:
			return mail.Attempt{}, true
		case r.code != 334 || step >= len(l.answers):
			a := refusal(mail.StageAuth, r)
			a.Text = l.hide(a.Text)
			return a, false
		}
		line = base64.StdEncoding.EncodeToString(l.answers[step])
	}
}

// hide takes our credentials out of what a relay said, in case it quotes them.
func (l login) hide(text string) string {
	secrets := append(strings.Fields(l.line)[2:], l.secret, base64.StdEncoding.EncodeToString([]byte(l.secret)))
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "[hidden]")
	}
	return text
}

// login returns the way to log in that the relay offers and we can.
func (c *conn) login() (login, error) {
	user, pass := c.pool.relay.user, c.pool.relay.pass
	offers := func(mechanism string) bool { return slices.Contains(c.caps.auth, mechanism) }
	switch {
	case c.pool.opts.Token != nil:
		if !offers("XOAUTH2") {
			return login{}, errNoOAuth
		}
		return c.xoauth2(user)
	case offers(sasl.Plain):
		_, initial, err := sasl.NewPlainClient("", user, pass).Start()
		return login{secret: pass, line: "AUTH PLAIN " + base64.StdEncoding.EncodeToString(initial)}, err
	case offers(sasl.Login):
		// LOGIN has no initial response in the only text that describes it; its
		// challenges are worded differently by every server.
		return login{secret: pass, line: "AUTH LOGIN", answers: [][]byte{[]byte(user), []byte(pass)}}, nil
	default:
		return login{}, errNoAuth
	}
}

// xoauth2 asks for a token. Google and Microsoft describe the mechanism; a
// challenge says why the token was refused and wants an empty answer.
func (c *conn) xoauth2(user string) (login, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.pool.opts.Timeouts.Hello)
	defer cancel()
	token, err := c.pool.opts.Token(ctx)
	if err != nil || token == "" || !wireSafe(token) {
		return login{}, errNoToken // whose cause may quote it
	}
	initial := "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
	return login{
		secret:  token,
		line:    "AUTH XOAUTH2 " + base64.StdEncoding.EncodeToString([]byte(initial)),
		answers: [][]byte{nil},
	}, nil
}
