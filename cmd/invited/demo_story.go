package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The people of the story. Fabrikam has no home organisation on record, so the
// mailed link signs Ana in; Woodgrove is one that decides for itself.
const (
	demoInviter = "inviter@contoso.example"
	demoAdmin   = "admin@contoso.example"
	demoFirst   = "ana@fabrikam.example"
	demoSecond  = "ben@fabrikam.example"
	demoThird   = "dana@woodgrove.example"
	demoHome    = "woodgrove.example"
)

// story is what the steps know of each other.
type story struct {
	env env
	app *app

	inviter, admin *client // act through the API, as these people
	sink           *client
	first, third   *person

	invitation string // id of the one being told about
	link       string
	junkID     string
	junkLink   string
}

// caught is a captured mail as the sink's REST interface shows it.
type caught struct {
	ID        string
	MessageID string
	Subject   string
	From      struct{ Name, Address string }
	Folder    string          `json:"folder"`
	RedeemURL string          `json:"redeemUrl"`
	Verdict   json.RawMessage `json:"verdict"`
}

// ready checks that every listener answers, and signs the two people in.
func (s *story) ready() (fields, string, error) {
	anyone := &client{base: s.app.URL(), token: s.app.localToken(), http: &http.Client{Timeout: 10 * time.Second}}
	if err := anyone.call(s.env, http.MethodGet, "/readyz", nil, nil); err != nil {
		return nil, "", err
	}
	s.sink = &client{base: s.app.SinkURL(), http: &http.Client{Timeout: 30 * time.Second}}
	if err := s.sink.call(s.env, http.MethodGet, "/readyz", nil, nil); err != nil {
		return nil, "", err
	}
	for who, c := range map[string]**client{demoInviter: &s.inviter, demoAdmin: &s.admin} {
		var minted struct {
			Token string `json:"access_token"`
		}
		if err := anyone.call(s.env, http.MethodPost, "/invited/v1/token", fields{"as": who}, &minted); err != nil {
			return nil, "", err
		}
		*c = &client{base: s.app.URL(), token: minted.Token, http: anyone.http}
	}
	seen := fields{"server": s.app.URL(), "sink": s.app.SinkURL(), "smtp": s.app.SMTPAddr()}
	return seen, fmt.Sprintf("pages and API on %s, SMTP on %s", s.app.URL(), s.app.SMTPAddr()), nil
}

// invite invites an address as the story's inviter.
func (s *story) invite(address, name, message string) (fields, error) {
	var out struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		User   struct {
			ID string `json:"id"`
		} `json:"invitedUser"`
	}
	err := s.inviter.call(s.env, http.MethodPost, "/v1.0/invitations", fields{
		"invitedUserEmailAddress": address, "invitedUserDisplayName": name, "sendInvitationMessage": true,
		"inviteRedirectUrl":      s.app.URL() + "/myapps",
		"invitedUserMessageInfo": fields{"customizedMessageBody": message},
	}, &out)
	if err != nil {
		return nil, err
	}
	s.invitation = out.ID
	return fields{"address": address, "invitationId": out.ID, "userId": out.User.ID, "status": out.Status}, nil
}

func (s *story) invited() (fields, string, error) {
	seen, err := s.invite(demoFirst, "Ana", "Welcome to the project. The plan is in Expenses.")
	return seen, demoInviter + " invites " + demoFirst + "; the guest account exists at once", err
}

// await waits for a mail in the sink.
func (s *story) await(query url.Values) (caught, error) {
	query.Set("timeout", "10s")
	data, status, err := s.sink.send(s.env, http.MethodGet, "/api/v1/wait?"+query.Encode(), nil)
	if err != nil {
		return caught{}, err
	}
	if status == http.StatusNoContent {
		return caught{}, errors.New("no such mail came within 10 s")
	}
	var c caught
	err = json.Unmarshal(data, &c)
	return c, err
}

func (s *story) captured() (fields, string, error) {
	c, err := s.await(url.Values{"to": {demoFirst}})
	if err != nil {
		return nil, "", err
	}
	if c.Folder != "Inbox" || c.RedeemURL == "" {
		return nil, "", fmt.Errorf("the mail is in %q with the link %q", c.Folder, c.RedeemURL)
	}
	s.link = c.RedeemURL
	seen := fields{"from": c.From.Name, "fromAddress": c.From.Address, "subject": c.Subject, "folder": c.Folder, "messageId": c.MessageID}
	return seen, fmt.Sprintf("%s: %q from %s", c.Folder, c.Subject, c.From.Name), nil
}

// snapshot is everything a scanner might have changed.
func (s *story) snapshot() (string, error) {
	var invitation struct {
		State   string          `json:"state"`
		User    json.RawMessage `json:"user"`
		Version int             `json:"version"`
	}
	if err := s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+s.invitation, nil, &invitation); err != nil {
		return "", err
	}
	var events json.RawMessage
	if err := s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+s.invitation+"/events", nil, &events); err != nil {
		return "", err
	}
	data, err := json.Marshal(invitation)
	return string(data) + string(events), err
}

func (s *story) scanned() (fields, string, error) {
	before, err := s.snapshot()
	if err != nil {
		return nil, "", err
	}
	const hits = 20
	for i := range hits {
		method := http.MethodGet
		if i%2 == 1 {
			method = http.MethodHead
		}
		if err := newPerson().do(s.env, method, s.link, nil); err != nil {
			return nil, "", fmt.Errorf("hit %d: %w", i+1, err)
		}
	}
	after, err := s.snapshot()
	if err != nil {
		return nil, "", err
	}
	if before != after {
		return nil, "", errors.New("a GET or HEAD changed the invitation")
	}
	return fields{"hits": hits, "changed": false}, fmt.Sprintf("%d scanner hits on the link, and nothing changed", hits), nil
}

func (s *story) reviewed() (fields, string, error) {
	s.first = newPerson()
	if err := s.first.open(s.env, s.link); err != nil {
		return nil, "", err
	}
	if s.first.heading != "Review permissions" || s.first.url.RawQuery != "" {
		return nil, "", fmt.Errorf("the link led to %q at %s", s.first.heading, s.first.url)
	}
	return fields{"page": s.first.heading, "url": s.first.url.Path}, s.first.heading + ": what is shared, with whom, Accept or Cancel", nil
}

func (s *story) accepted() (fields, string, error) {
	if err := s.first.submit(s.env, "/redeem/accept"); err != nil {
		return nil, "", err
	}
	state, err := s.state(s.invitation)
	if err != nil {
		return nil, "", err
	}
	if state != "accepted" {
		return nil, "", fmt.Errorf("after Accept the invitation is %q", state)
	}
	return fields{"state": state}, "Accept: the invitation is " + state, nil
}

// state reads the state of an invitation through the API.
func (s *story) state(id string) (string, error) {
	var out struct {
		State string `json:"state"`
	}
	err := s.admin.call(s.env, http.MethodGet, "/invited/v1/invitations/"+id, nil, &out)
	return out.State, err
}

func (s *story) myapps() (fields, string, error) {
	if err := s.first.open(s.env, s.app.URL()+"/myapps"); err != nil {
		return nil, "", err
	}
	const none = "There are no apps to show"
	if s.first.heading != "My Apps" || !strings.Contains(s.first.body, none) {
		return nil, "", fmt.Errorf("the guest landed on %q", s.first.heading)
	}
	return fields{"page": s.first.heading, "text": none}, s.first.heading + ": “" + none + "”, which is success", nil
}

func (s *story) junked() (fields, string, error) {
	_, err := s.invite(demoSecond, "Ben", "URGENT!!! Call +1 555 0100 200 now to claim your refund of $499.00 before your account is suspended.")
	if err != nil {
		return nil, "", err
	}
	c, err := s.await(url.Values{"to": {demoSecond}})
	if err != nil {
		return nil, "", err
	}
	var verdict struct {
		Score float64 `json:"score"`
		Hits  []struct {
			Rule string  `json:"rule"`
			Why  string  `json:"why"`
			Fix  string  `json:"fix"`
			S    float64 `json:"score"`
		} `json:"hits"`
	}
	if err := json.Unmarshal(c.Verdict, &verdict); err != nil {
		return nil, "", err
	}
	if c.Folder != "Junk" || len(verdict.Hits) == 0 {
		return nil, "", fmt.Errorf("the mail is in %q with %d reasons", c.Folder, len(verdict.Hits))
	}
	s.junkID, s.junkLink = c.ID, c.RedeemURL
	top := verdict.Hits[0]
	for _, h := range verdict.Hits {
		if h.S > top.S {
			top = h
		}
	}
	seen := fields{"folder": c.Folder, "score": verdict.Score, "hits": verdict.Hits, "messageId": c.MessageID}
	return seen, fmt.Sprintf("%s at score %.1f: %s", c.Folder, verdict.Score, top.Why), nil
}

// diagnose asks why a guest is not in, and insists on a reason.
func (s *story) diagnose(address, reason string) (fields, string, error) {
	var out struct {
		Reason string `json:"reason"`
		Title  string `json:"title"`
		Remedy string `json:"remedy"`
	}
	if err := s.admin.call(s.env, http.MethodGet, "/invited/v1/guests/"+url.PathEscape(address)+"/diagnosis", nil, &out); err != nil {
		return nil, "", err
	}
	if out.Reason != reason || out.Remedy == "" {
		return nil, "", fmt.Errorf("diagnosis says %q with the remedy %q", out.Reason, out.Remedy)
	}
	return fields{"reason": out.Reason, "remedy": out.Remedy}, out.Reason + " → " + out.Remedy, nil
}

func (s *story) diagnosed() (fields, string, error) { return s.diagnose(demoSecond, "mail_in_junk") }

func (s *story) resent() (fields, string, error) {
	var out struct {
		Sends int    `json:"sends"`
		State string `json:"state"`
	}
	err := s.admin.call(s.env, http.MethodPost, "/invited/v1/invitations/"+s.invitation+"/resend",
		fields{"message": "Welcome to the project. Please ask me if anything is unclear."}, &out)
	return fields{"sends": out.Sends, "state": out.State}, "resent, with a message that does not sound like fraud", err
}

func (s *story) inboxed() (fields, string, error) {
	c, err := s.await(url.Values{"to": {demoSecond}, "after": {s.junkID}})
	if err != nil {
		return nil, "", err
	}
	if c.Folder != "Inbox" || c.RedeemURL == "" || c.RedeemURL == s.junkLink {
		return nil, "", fmt.Errorf("the second mail is in %q with the link %q", c.Folder, c.RedeemURL)
	}
	return fields{"folder": c.Folder, "subject": c.Subject, "messageId": c.MessageID}, c.Folder + ": the new mail, with a new link", nil
}

func (s *story) blocked() (fields, string, error) {
	home := fields{"displayName": "Woodgrove", "allowEmailVerifiedUsers": false}
	if err := s.admin.call(s.env, http.MethodPut, "/invited/v1/homes/"+demoHome, home, nil); err != nil {
		return nil, "", err
	}
	if _, err := s.invite(demoThird, "Dana", ""); err != nil {
		return nil, "", err
	}
	c, err := s.await(url.Values{"to": {demoThird}})
	if err != nil {
		return nil, "", err
	}
	s.link, s.third = c.RedeemURL, newPerson()
	if err := s.third.open(s.env, s.link); err != nil {
		return nil, "", err
	}
	if !strings.Contains(s.third.body, "jit_disabled") {
		return nil, "", fmt.Errorf("the link led to %q", s.third.heading)
	}
	return fields{"page": s.third.heading, "status": s.third.status, "reason": "jit_disabled"}, "the guest is refused: " + s.third.heading, nil
}

func (s *story) explained() (fields, string, error) { return s.diagnose(demoThird, "jit_disabled") }

func (s *story) remedied() (fields, string, error) {
	home := fields{"displayName": "Woodgrove", "allowEmailVerifiedUsers": false, "addAccounts": []string{demoThird}}
	var out struct {
		Accounts []string `json:"accounts"`
	}
	if err := s.admin.call(s.env, http.MethodPut, "/invited/v1/homes/"+demoHome, home, &out); err != nil {
		return nil, "", err
	}
	return fields{"home": demoHome, "account": demoThird}, "Woodgrove's administrator creates the account " + demoThird, nil
}

func (s *story) redeemed() (fields, string, error) {
	if err := s.third.open(s.env, s.link); err != nil {
		return nil, "", err
	}
	for _, form := range []string{"/redeem/signin", "/redeem/accept"} {
		if err := s.third.submit(s.env, form); err != nil {
			return nil, "", err
		}
	}
	state, err := s.state(s.invitation)
	if err != nil {
		return nil, "", err
	}
	if state != "accepted" || s.third.heading == "" {
		return nil, "", fmt.Errorf("the same link led to %q and the invitation is %q", s.third.heading, state)
	}
	return fields{"state": state, "page": s.third.heading}, "the same link: sign in, Accept, " + s.third.heading, nil
}

// person is a guest with a browser: it keeps cookies and follows redirects.
type person struct {
	http    *http.Client
	status  int
	url     *url.URL
	body    string
	heading string
}

func newPerson() *person {
	jar, _ := cookiejar.New(nil) // it fails only for options, and there are none
	return &person{http: &http.Client{Jar: jar, Timeout: 10 * time.Second}}
}

var (
	headingTag = regexp.MustCompile(`<h1[^>]*>([^<]*)</h1>`)
	formToken  = regexp.MustCompile(`name="csrf" value="([^"]*)"`)
)

// open follows a link, as a click does.
func (p *person) open(e env, link string) error {
	return p.do(e, http.MethodGet, link, nil)
}

// submit presses the button of the form that leads to path.
func (p *person) submit(e env, path string) error {
	m := formToken.FindStringSubmatch(p.body)
	if m == nil || !strings.Contains(p.body, `action="`+path+`"`) {
		return fmt.Errorf("the page %q has no form for %s", p.heading, path)
	}
	target := *p.url
	target.Path, target.RawQuery = path, ""
	return p.do(e, http.MethodPost, target.String(), url.Values{"csrf": {html.UnescapeString(m[1])}})
}

// do carries out one request and keeps the page it ended at. A 5xx is an error.
func (p *person) do(e env, method, target string, form url.Values) error {
	req, err := http.NewRequestWithContext(e.ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (invited demo)")
	req.Header.Set("Accept-Language", "en")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("%s %s answered %s", method, resp.Request.URL.Path, resp.Status)
	}
	p.status, p.url, p.body, p.heading = resp.StatusCode, resp.Request.URL, string(data), ""
	if m := headingTag.FindStringSubmatch(p.body); m != nil {
		p.heading = html.UnescapeString(m[1])
	}
	return nil
}
