package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	netmail "net/mail"
	"net/url"
	"os"
	"strings"

	"invited/mail/sink"
	"invited/server/invite"
)

// bounceAddress is the reverse-path of mail: it names the mail, see
// invite.BounceID.
const bounceAddress = invite.BouncePrefix + "{id}@{domain}"

// returns puts the bounces of our own mail in front of the sink. What it does
// not know is mail like any other. Whose domain stands behind the @ does not
// matter: nobody guesses what stands before it.
type returns struct{ app *app }

// Receive implements smtpd.Receiver. A bounce that cannot be recorded now is
// refused for now, so that it comes again; recording it twice is harmless.
func (r returns) Receive(ctx context.Context, e sink.Envelope, raw []byte) (string, error) {
	rest := make([]string, 0, len(e.To))
	id := ""
	for _, to := range e.To {
		b, err := r.bounce(ctx, to, raw)
		if err != nil {
			return "", err
		}
		if !b.Known {
			rest = append(rest, to)
			continue
		}
		id = b.Delivery
		r.app.log.Info("mail came back", "id", b.Delivery, "kind", string(b.Report.Kind), "reason", b.Report.Status)
	}
	if len(rest) == 0 && id != "" {
		return id, nil
	}
	e.To = rest
	return r.app.sink.Receive(ctx, e, raw)
}

// bounce asks the service, if the address looks like one it knows and there is
// a service.
func (r returns) bounce(ctx context.Context, to string, raw []byte) (invite.Bounce, error) {
	if r.app.invites == nil || len(to) < len(invite.BouncePrefix) || !strings.EqualFold(to[:len(invite.BouncePrefix)], invite.BouncePrefix) {
		return invite.Bounce{}, nil
	}
	return r.app.invites.ReceiveBounce(ctx, to, raw)
}

// exitTempFail tells a mail system to try again later (EX_TEMPFAIL).
const exitTempFail = 75

type bounceCmd struct {
	serverFlags
	To string `placeholder:"ADDRESS" help:"The envelope recipient (default: ORIGINAL_RECIPIENT or RECIPIENT, else Delivered-To, X-Original-To or To of the message)."`
}

// maxPiped is how much of a message is passed on: reports stand at its
// beginning.
const maxPiped = 1 << 20

// Run passes a message on standard input to the server. Its exit codes are for
// mail systems: 0 the message is dealt with, 75 try again later.
func (c bounceCmd) Run(e env) error {
	raw, err := io.ReadAll(io.LimitReader(e.stdin, maxPiped))
	if err == nil {
		_, err = io.Copy(io.Discard, e.stdin) // a mail system takes a closed pipe for a failure
	}
	if err == nil {
		err = c.pass(e, raw)
	}
	if err != nil {
		return &exitError{exitTempFail, err.Error()}
	}
	return nil
}

// pass hands the message to the server and says what became of it.
func (c bounceCmd) pass(e env, raw []byte) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	var out struct {
		Known            bool
		Kind, Text       string
		Delivery, Status string
		State            string
		Suppressed       bool
	}
	to := firstText(c.To, os.Getenv("ORIGINAL_RECIPIENT"), os.Getenv("RECIPIENT"), recipientOf(raw))
	data, err := api.post(e, "/invited/v1/bounces?"+url.Values{"to": {to}}.Encode(), "message/rfc822", raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return fmt.Errorf("the server did not answer in JSON: %w", err)
	}
	if !out.Known {
		fmt.Fprintln(e.stdout, "Not a report about mail of ours; nothing was changed.")
		return nil
	}
	line := fmt.Sprintf("Mail %s is %s: %s %s %s", out.Delivery, out.State, out.Kind, out.Status, out.Text)
	if out.Suppressed {
		line += " (its recipient is not mailed any more)"
	}
	fmt.Fprintln(e.stdout, printableLine(line))
	return nil
}

// firstText returns the first text that is not empty.
func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// recipientOf returns whom a message was delivered to, from its header.
func recipientOf(raw []byte) string {
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return ""
	}
	for _, name := range []string{"Delivered-To", "X-Original-To", "Envelope-To", "To"} {
		for _, v := range m.Header[http.CanonicalHeaderKey(name)] {
			if a, err := netmail.ParseAddress(v); err == nil && strings.HasPrefix(strings.ToLower(a.Address), invite.BouncePrefix) {
				return a.Address
			}
		}
	}
	return ""
}

// post sends a body that is not JSON.
func (c *client) post(e env, path, media string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", media)
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return nil, refusal(resp, data)
	}
	return data, nil
}
