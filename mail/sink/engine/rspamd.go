package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"invited/mail/sink/rules"
)

// Rspamd is rspamd's normal worker, which listens on port 11333. It is safe
// for concurrent use.
type Rspamd struct {
	url     string
	timeout time.Duration
	client  *http.Client
}

// NewRspamd returns the filter at a URL such as http://127.0.0.1:11333. A
// timeout of 0 means [Timeout].
func NewRspamd(rawURL string, timeout time.Duration) (*Rspamd, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("engine: the URL of rspamd must be of the form http://HOST:PORT")
	}
	if timeout <= 0 {
		timeout = Timeout
	}
	return &Rspamd{
		url: strings.TrimSuffix(u.String(), "/") + "/checkv2", timeout: timeout,
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}, // no proxy: mail goes nowhere else
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Name implements [Engine].
func (r *Rspamd) Name() string { return "rspamd" }

// Check implements [Engine].
func (r *Rspamd) Check(ctx context.Context, m Mail) (rules.Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(m.Raw))
	if err != nil {
		return rules.Engine{}, err
	}
	for _, h := range []struct{ name, value string }{
		{"IP", m.IP}, {"Helo", m.Helo}, {"Hostname", m.Hostname}, {"From", m.From}, {"User", m.User},
	} {
		if v := printable(h.value); v != "" {
			req.Header.Set(h.name, v)
		}
	}
	for _, to := range m.Rcpt {
		req.Header.Add("Rcpt", printable(to))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return rules.Engine{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return rules.Engine{}, fmt.Errorf("engine: rspamd answered %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return rules.Engine{}, err
	}
	return ParseRspamd(data)
}

// ParseRspamd reads an answer of POST /checkv2.
func ParseRspamd(data []byte) (rules.Engine, error) {
	var in struct {
		Score    *float64 `json:"score"`
		Required float64  `json:"required_score"`
		Action   string   `json:"action"`
		Symbols  map[string]struct {
			Score       float64 `json:"score"`
			Description string  `json:"description"`
		} `json:"symbols"`
	}
	if len(data) > maxAnswer {
		return rules.Engine{}, fmt.Errorf("%w: it is larger than 1 MiB", ErrAnswer)
	}
	if err := json.Unmarshal(data, &in); err != nil || in.Score == nil {
		return rules.Engine{}, fmt.Errorf("%w: it is not the JSON of rspamd", ErrAnswer)
	}
	out := rules.Engine{Score: *in.Score, Limit: in.Required, Action: clip(in.Action), Folder: rules.Inbox}
	switch in.Action {
	case "no action", "greylist", "soft reject":
	case "add header", "rewrite subject", "quarantine", "reject":
		out.Folder = rules.Junk
	default:
		if out.Limit > 0 && out.Score >= out.Limit {
			out.Folder = rules.Junk
		}
	}
	for name, s := range in.Symbols {
		out.Symbols = append(out.Symbols, rules.Symbol{Name: clip(name), Score: s.Score, Description: clip(s.Description)})
	}
	out.Symbols = heaviest(out.Symbols)
	return out, nil
}

// heaviest orders symbols by weight, then by name, and keeps those that weigh
// most.
func heaviest(symbols []rules.Symbol) []rules.Symbol {
	slices.SortFunc(symbols, func(a, b rules.Symbol) int {
		x, y := math.Abs(a.Score), math.Abs(b.Score)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		default:
			return strings.Compare(a.Name, b.Name)
		}
	})
	return symbols[:min(len(symbols), maxRules)]
}
