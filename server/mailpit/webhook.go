package mailpit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Limits of a webhook.
const (
	webhookQueue   = 1000 // summaries that wait; more are dropped and logged
	webhookTimeout = 5 * time.Second
	webhookAnswer  = 64 << 10 // bytes read of an answer
)

// webhookRetries are the pauses before a call is tried again.
var webhookRetries = []time.Duration{time.Second, 5 * time.Second, 25 * time.Second}

// WebhookOptions configures a [Webhook].
type WebhookOptions struct {
	URL           string // required; https, or http to this machine
	AllowLoopback bool   // the URL may lead to this machine
	Secret        string // signs calls, see [Webhook]; empty: they are not signed
	Label         string // sent as Mailpit-Label; may be empty
	Version       string // sent in User-Agent

	// Transport makes the calls. Nil: one that calls neither private addresses
	// nor, unless allowed, this machine, and uses no proxy.
	Transport http.RoundTripper
}

// Webhook tells a URL of every new mail: POST with the summary of the message
// as JSON. Calls are made one after the other; one that fails is tried again
// three times, unless it is refused with 4xx. With a secret the header
// Invited-Signature is "sha256=" and the hex HMAC-SHA-256 of the body.
type Webhook struct {
	o      WebhookOptions
	client *http.Client
	queue  chan []byte
}

// NewWebhook returns a webhook, or an error that names the option at fault.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("mailpit: WebhookOptions.URL is not an https URL without user name")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return nil, errors.New("mailpit: WebhookOptions.URL leads to another machine, so it must be https")
	case loopbackHost(u.Hostname()) && !o.AllowLoopback:
		return nil, errors.New("mailpit: WebhookOptions.URL leads to this machine, which WebhookOptions.AllowLoopback does not allow")
	}
	if o.Transport == nil {
		reach := reachPublic
		if o.AllowLoopback {
			reach = reachPublicAndLoopback
		}
		o.Transport = transport(reach)
	}
	return &Webhook{
		o: o, queue: make(chan []byte, webhookQueue),
		client: &http.Client{
			Transport: o.Transport, Timeout: webhookTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// enqueue queues a call, unless too many wait already.
func (k *Webhook) enqueue(s summaryJSON, log *slog.Logger) {
	body, err := json.Marshal(s)
	if err == nil {
		select {
		case k.queue <- body:
			return
		default:
			err = errors.New("too many calls are waiting")
		}
	}
	if log != nil {
		log.Warn("webhook call dropped", slog.String("id", s.ID), slog.Any("err", err))
	}
}

// run makes the calls until ctx ends.
func (k *Webhook) run(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case body := <-k.queue:
			if err := k.deliver(ctx, body); err != nil && ctx.Err() == nil && log != nil {
				log.Warn("webhook call given up", slog.Any("err", err))
			}
		}
	}
}

// deliver makes one call, with retries.
func (k *Webhook) deliver(ctx context.Context, body []byte) error {
	for attempt := 0; ; attempt++ {
		final, err := k.call(ctx, body)
		if err == nil || final || attempt == len(webhookRetries) {
			return err
		}
		pause := time.NewTimer(webhookRetries[attempt])
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// call makes one call once. final: there is no use in trying again.
func (k *Webhook) call(ctx context.Context, body []byte) (final bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.o.URL, bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "invited/"+cmpOr(k.o.Version, "0"))
	if k.o.Label != "" {
		req.Header.Set("Mailpit-Label", k.o.Label)
	}
	if k.o.Secret != "" {
		mac := hmac.New(sha256.New, []byte(k.o.Secret))
		mac.Write(body)
		req.Header.Set("Invited-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := k.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the URL may hold a secret of its own
		}
		return errors.Is(err, errUnreachable), fmt.Errorf("mailpit: webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, webhookAnswer)) // so that the connection can be kept
	switch c := resp.StatusCode; {
	case c/100 == 2:
		return true, nil
	default:
		retry := c >= 500 || c == http.StatusTooManyRequests || c == http.StatusRequestTimeout
		return !retry, fmt.Errorf("mailpit: webhook: the answer is %d", c)
	}
}
