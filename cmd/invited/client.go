package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// serverFlags say which server a client verb talks to, and as whom.
type serverFlags struct {
	Server string `placeholder:"URL" help:"The server (default: the one --data belongs to, else ${server})."`
	Token  string `placeholder:"TOKEN" help:"Bearer token (default: the local credential in --data)."`
	Data   string `default:"${dataDir}" placeholder:"DIR" help:"Data directory of a local server; its cli.json says where it listens."`
}

// localCredential is DIR/cli.json, written by serve with mode 0600.
type localCredential struct {
	Server    string `json:"server"`
	Sink      string `json:"sink"`
	SinkLogin bool   `json:"sinkLogin,omitempty"` // the sink wants a login: Token is the password of "invited"
	SMTP      string `json:"smtp"`
	Admin     string `json:"admin,omitempty"` // metrics and state, if there is such a listener
	Tenant    string `json:"tenant"`
	Token     string `json:"token"`
}

const credentialFile = "cli.json"

// readCredential reads the local credential of a data directory. A directory
// without one is not an error.
func readCredential(dir string) (localCredential, error) {
	var c localCredential
	path := filepath.Join(dir, credentialFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%s is not readable as JSON: %w; start the server again to write it anew", path, err)
	}
	return c, nil
}

// client calls one server over HTTP.
type client struct {
	base  string
	token string
	login string // password of ownUser at a sink that wants a login
	http  *http.Client
}

// api returns a client of the server, or of the sink's listener.
func (f serverFlags) api() (*client, error)  { return f.open(false) }
func (f serverFlags) sink() (*client, error) { return f.open(true) }

func (f serverFlags) open(sink bool) (*client, error) {
	cred, err := readCredential(f.Data)
	if err != nil {
		return nil, err
	}
	base, fallback := cred.Server, defaultServer
	if sink {
		base, fallback = cred.Sink, defaultSink
	}
	if f.Server != "" {
		base = f.Server
	}
	if base == "" {
		base = fallback
	}
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, &exitError{exitUsage, fmt.Sprintf("--server %q is not a URL such as %s", base, fallback)}
	}
	c := &client{base: strings.TrimSuffix(base, "/"), token: f.Token, http: &http.Client{Timeout: 90 * time.Second}}
	if c.token == "" && !sink && (f.Server == "" || f.Server == cred.Server) {
		c.token = cred.Token // never sent to a server it was not made for
	}
	if sink && cred.SinkLogin && (f.Server == "" || f.Server == cred.Sink) {
		c.login = cred.Token
	}
	return c, nil
}

// apiError is a failure as the server words it.
type apiError struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Reason  string `json:"reason"`
		Remedy  string `json:"remedy"`
	} `json:"error"`
}

// call sends in as JSON, if it is not nil, and decodes the answer into out.
func (c *client) call(e env, method, path string, in, out any) error {
	data, _, err := c.send(e, method, path, in)
	if err != nil || out == nil || len(data) == 0 {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s%s did not answer in JSON: %w; is it an invited server?", c.base, path, err)
	}
	return nil
}

// send carries out one request and returns the body and the status.
func (c *client) send(e env, method, path string, in any) ([]byte, int, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, 0, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(e.ctx, method, c.base+path, body)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.login != "" {
		req.SetBasicAuth(ownUser, c.login)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, c.unreachable(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, resp.StatusCode, err
	}
	if resp.StatusCode >= 400 {
		return nil, resp.StatusCode, refusal(resp, data)
	}
	return data, resp.StatusCode, nil
}

// unreachable words a connection failure.
func (c *client) unreachable(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return &exitError{exitFailed, fmt.Sprintf("no server answers at %s; start one with: invited serve", c.base)}
	}
	return err
}

// refusal turns an error answer into a failure with the right exit code.
func refusal(resp *http.Response, data []byte) error {
	var body apiError
	text := strings.TrimSpace(string(data))
	if json.Unmarshal(data, &body) == nil && body.Error.Message != "" {
		text = body.Error.Message
		if body.Error.Remedy != "" {
			text += "\n  → " + body.Error.Remedy
		}
	}
	if text == "" || len(text) > 2000 {
		text = "the server answered " + resp.Status
	}
	code := exitFailed
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
		code = exitUsage
	case http.StatusUnauthorized:
		code = exitDenied
		text += "\n  → pass --token, or --data with the data directory of a local server"
	case http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests, http.StatusGone:
		code = exitDenied
	case http.StatusNotFound:
		code = exitNotFound
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		text += " (try again in " + after + " s)"
	}
	return &exitError{code, text}
}
