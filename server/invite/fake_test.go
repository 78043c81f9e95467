package invite_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
)

// A memory is a [invite.Store] that keeps the store's promises with a mutex: a
// change is applied whole or not at all, versions are compared, addresses and
// UPNs are unique among users who are not deleted.
type memory struct {
	suppressions map[string]invite.Suppression
	mu           sync.Mutex
	tenant       directory.Tenant
	policy       directory.Policy
	users        map[directory.UserID]directory.User
	invitations  map[invite.ID]invite.Invitation
	groups       []directory.Group
	apps         []directory.App
	members      map[directory.Membership]bool
	roles        map[directory.RoleAssignment]bool
	appsOf       map[directory.UserID][]directory.AppID
	homes        map[string]directory.HomeTenant
	accounts     map[string]bool
	letters      []invite.Letter
	deliveries   []invite.Delivery
	attempts     map[string][]mail.Attempt
	events       []audit.Event
	views        map[invite.ID]invite.Views
	blocks       map[string]time.Time
	passcodes    map[string]*memoryCode
	throttles    map[string][]time.Time

	reads   int                                // calls of any method
	applies int                                // successful calls of ApplyInvitation
	before  func(n int, c invite.Change) error // called before the n-th try to apply, unlocked
	tries   int                                // calls of ApplyInvitation
	fail    map[string]error                   // by method name
	onRead  func(method string)                // called on every read, unlocked
}

func newMemory(t directory.Tenant, p directory.Policy) *memory {
	return &memory{
		tenant: t, policy: p,
		users: map[directory.UserID]directory.User{}, invitations: map[invite.ID]invite.Invitation{},
		members: map[directory.Membership]bool{}, roles: map[directory.RoleAssignment]bool{}, appsOf: map[directory.UserID][]directory.AppID{},
		homes: map[string]directory.HomeTenant{}, accounts: map[string]bool{}, attempts: map[string][]mail.Attempt{},
		views: map[invite.ID]invite.Views{}, fail: map[string]error{},
		blocks: map[string]time.Time{}, passcodes: map[string]*memoryCode{}, throttles: map[string][]time.Time{},
	}
}

// read locks for one method and returns how to unlock, or the error it fails with.
func (m *memory) read(method string) (func(), error) {
	if m.onRead != nil {
		m.onRead(method)
	}
	m.mu.Lock()
	m.reads++
	return m.mu.Unlock, m.fail[method]
}

func (m *memory) Tenant(_ context.Context, id directory.TenantID) (directory.Tenant, error) {
	unlock, err := m.read("Tenant")
	defer unlock()
	if err == nil && id != m.tenant.ID {
		err = directory.ErrNotFound
	}
	return m.tenant, err
}

func (m *memory) Policy(context.Context, directory.TenantID) (directory.Policy, error) {
	unlock, err := m.read("Policy")
	defer unlock()
	return m.policy, err
}

func (m *memory) User(_ context.Context, t directory.TenantID, id directory.UserID) (directory.User, error) {
	unlock, err := m.read("User")
	defer unlock()
	u, ok := m.users[id]
	if err == nil && (!ok || t != u.Tenant) {
		err = directory.ErrNotFound
	}
	return u, err
}

func (m *memory) UserByAddress(_ context.Context, _ directory.TenantID, a mail.Address) (directory.User, error) {
	unlock, err := m.read("UserByAddress")
	defer unlock()
	if err != nil {
		return directory.User{}, err
	}
	for _, u := range m.users {
		if u.Deleted.IsZero() && (u.HasAddress(a) || strings.EqualFold(u.UPN, a.String())) {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (m *memory) UserByUPN(_ context.Context, _ directory.TenantID, upn string) (directory.User, error) {
	unlock, err := m.read("UserByUPN")
	defer unlock()
	if err != nil {
		return directory.User{}, err
	}
	for _, u := range m.users {
		if u.Deleted.IsZero() && strings.EqualFold(u.UPN, upn) {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (m *memory) UserRoles(_ context.Context, _ directory.TenantID, id directory.UserID) ([]directory.RoleID, error) {
	unlock, err := m.read("UserRoles")
	defer unlock()
	var out []directory.RoleID
	for r := range m.roles {
		if r.User == id {
			out = append(out, r.Role)
		}
	}
	return out, err
}

func (m *memory) UserApps(_ context.Context, _ directory.TenantID, id directory.UserID) ([]directory.App, error) {
	unlock, err := m.read("UserApps")
	defer unlock()
	var out []directory.App
	for _, a := range m.apps {
		if slices.Contains(m.appsOf[id], a.ID) {
			out = append(out, a)
		}
	}
	return out, err
}

func (m *memory) Home(_ context.Context, _ directory.TenantID, a mail.Address) (directory.HomeTenant, bool, error) {
	unlock, err := m.read("Home")
	defer unlock()
	h, ok := m.homes[a.Domain]
	if err == nil && !ok {
		err = directory.ErrNotFound
	}
	return h, m.accounts[a.Key()], err
}

func (m *memory) GroupByName(_ context.Context, _ directory.TenantID, name string) (directory.Group, error) {
	unlock, err := m.read("GroupByName")
	defer unlock()
	for _, g := range m.groups {
		if string(g.ID) == name || strings.EqualFold(g.DisplayName, name) {
			return g, err
		}
	}
	return directory.Group{}, cmp.Or(err, directory.ErrNotFound)
}

func (m *memory) AppByName(_ context.Context, _ directory.TenantID, name string) (directory.App, error) {
	unlock, err := m.read("AppByName")
	defer unlock()
	for _, a := range m.apps {
		if string(a.ID) == name || strings.EqualFold(a.DisplayName, name) {
			return a, err
		}
	}
	return directory.App{}, cmp.Or(err, directory.ErrNotFound)
}

func (m *memory) Invitation(_ context.Context, t directory.TenantID, id invite.ID) (invite.Invitation, error) {
	unlock, err := m.read("Invitation")
	defer unlock()
	inv, ok := m.invitations[id]
	if err == nil && (!ok || t != inv.Tenant) {
		err = directory.ErrNotFound
	}
	return inv, err
}

func (m *memory) LatestInvitation(_ context.Context, _ directory.TenantID, u directory.UserID) (invite.Invitation, error) {
	unlock, err := m.read("LatestInvitation")
	defer unlock()
	var last invite.Invitation
	for _, inv := range m.invitations {
		if inv.User == u && inv.ID > last.ID {
			last = inv
		}
	}
	if err == nil && last.ID == "" {
		err = directory.ErrNotFound
	}
	return last, err
}

func (m *memory) ListInvitations(_ context.Context, _ directory.TenantID, q invite.Query) ([]invite.Invitation, error) {
	unlock, err := m.read("ListInvitations")
	defer unlock()
	var out []invite.Invitation
	for _, inv := range m.invitations {
		closed := !inv.Accepted.IsZero() || !inv.Revoked.IsZero() || !inv.Expires.IsZero() && !q.Now.Before(inv.Expires)
		if (q.User == "" || inv.User == q.User) && (!q.Open || !closed) && strings.HasPrefix(inv.Email.Key(), q.Text) && (q.After == "" || inv.ID < q.After) {
			out = append(out, inv)
		}
	}
	slices.SortFunc(out, func(a, b invite.Invitation) int { return cmp.Compare(b.ID, a.ID) })
	return out[:min(q.Limit, len(out))], err
}

func (m *memory) Deliveries(_ context.Context, _ directory.TenantID, id invite.ID) ([]invite.Delivery, error) {
	unlock, err := m.read("Deliveries")
	defer unlock()
	var out []invite.Delivery
	for _, d := range m.deliveries {
		if d.Invitation == id {
			out = append(out, d)
		}
	}
	return out, err
}

func (m *memory) Attempts(_ context.Context, _ directory.TenantID, delivery string) ([]mail.Attempt, error) {
	unlock, err := m.read("Attempts")
	defer unlock()
	return m.attempts[delivery], err
}

func (m *memory) Events(_ context.Context, _ directory.TenantID, id invite.ID, after string, limit int) ([]audit.Event, error) {
	unlock, err := m.read("Events")
	defer unlock()
	var out []audit.Event
	for _, e := range m.events {
		if e.Invitation == string(id) && e.ID > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, err
}

func (m *memory) MailCounts(_ context.Context, _ directory.TenantID, q invite.CountQuery) (invite.Counts, error) {
	unlock, err := m.read("MailCounts")
	defer unlock()
	var c invite.Counts
	for _, l := range m.letters {
		age := q.Now.Sub(l.Queued)
		count := func(n *int, mine bool, window time.Duration) bool {
			if mine && age < window {
				*n++
			}
			return mine && age < window
		}
		day := count(&c.RecipientDay, l.LimitKey == q.LimitKey, 24*time.Hour)
		five := count(&c.Recipient5Min, l.LimitKey == q.LimitKey, 5*time.Minute)
		if (q.Limits.RecipientPerDay > 0 && day || five) && (c.Oldest.IsZero() || l.Queued.Before(c.Oldest)) {
			c.Oldest = l.Queued
		}
		count(&c.DomainHour, l.Message.To.Domain == q.Domain, time.Hour)
		count(&c.InviterMinute, l.Inviter == q.Inviter, time.Minute)
		count(&c.InviterDay, l.Inviter == q.Inviter, 24*time.Hour)
		count(&c.TenantDay, true, 24*time.Hour)
	}
	return c, err
}

func (m *memory) Views(_ context.Context, _ directory.TenantID, id invite.ID) (invite.Views, error) {
	unlock, err := m.read("Views")
	defer unlock()
	return m.views[id], err
}

func (m *memory) AddViews(_ context.Context, _ directory.TenantID, id invite.ID, v invite.Views) error {
	unlock, err := m.read("AddViews")
	defer unlock()
	if err != nil {
		return err
	}
	have := m.views[id]
	have.Count += v.Count
	have.Automated += v.Automated
	if have.First.IsZero() {
		have.First = v.First
	}
	have.Last = v.Last
	m.views[id] = have
	return nil
}

// ApplyInvitation checks everything first and changes afterwards.
func (m *memory) ApplyInvitation(_ context.Context, c invite.Change) error {
	m.mu.Lock()
	m.tries++
	n := m.tries
	m.mu.Unlock()
	if m.before != nil {
		if err := m.before(n, c); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stale(c) {
		return directory.ErrStale
	}
	m.applies++
	for _, u := range c.NewUsers {
		u.Version = 1
		m.users[u.ID] = u
	}
	for _, u := range c.Users {
		u.Version++
		m.users[u.ID] = u
	}
	for _, i := range c.NewInvitations {
		i.Version = 1
		m.invitations[i.ID] = i
	}
	for _, i := range c.Invitations {
		i.Version++
		m.invitations[i.ID] = i
	}
	for _, g := range c.AddMembers {
		m.members[g] = true
	}
	for _, r := range c.AddRoles {
		m.roles[r] = true
	}
	for _, a := range c.AddApps {
		m.appsOf[a.User] = append(m.appsOf[a.User], a.App)
	}
	for _, a := range c.AddHomeAccounts {
		m.accounts[a.Key()] = true
	}
	for i, d := range m.deliveries {
		if slices.Contains(c.CancelMail, d.User) && !d.State.Final() {
			m.deliveries[i].State = mail.Canceled
		}
	}
	for _, l := range c.Mail {
		d := invite.Delivery{
			ID: l.ID, Invitation: l.Invitation, User: l.User, To: l.Message.To, MessageID: l.Message.MessageID, Kind: l.Kind, State: mail.Queued, Queued: l.Queued, Next: l.Queued,
		}
		if l.Suppressed {
			d.State, d.Next = mail.Suppressed, time.Time{}
		} else {
			m.letters = append(m.letters, l)
		}
		m.deliveries = append(m.deliveries, d)
	}
	m.applyRedemption(c)
	m.applyReturns(c)
	m.events = append(m.events, c.Audit...)
	return nil
}

// stale reports whether a change was made from rows that moved on.
func (m *memory) stale(c invite.Change) bool {
	for _, u := range c.NewUsers {
		for _, other := range m.users {
			a, _ := mail.ParseAddress(u.Mail)
			if other.Deleted.IsZero() && (other.HasAddress(a) || strings.EqualFold(other.UPN, u.UPN)) {
				return true
			}
		}
	}
	for _, u := range c.Users {
		if have, ok := m.users[u.ID]; !ok || have.Version != u.Version {
			return true
		}
	}
	for _, i := range c.Invitations {
		if have, ok := m.invitations[i.ID]; !ok || have.Version != i.Version {
			return true
		}
	}
	return false
}

// edit changes a user as another writer would.
func (m *memory) edit(id directory.UserID, f func(*directory.User)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[id]
	f(&u)
	u.Version++
	m.users[id] = u
}

// breakMethod makes a method fail with err; nil mends it.
func (m *memory) breakMethod(method string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail[method] = err
}

// seen returns the stored views of an invitation.
func (m *memory) seen(id invite.ID) invite.Views {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.views[id]
}

// activities returns the activities of all events about a user, in order.
func (m *memory) activities(id directory.UserID) []audit.Activity {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []audit.Activity
	for _, e := range m.events {
		if e.Target == string(id) {
			out = append(out, e.Activity)
		}
	}
	return out
}

// count returns how many events of an activity there are.
func (m *memory) count(a audit.Activity) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.events {
		if e.Activity == a {
			n++
		}
	}
	return n
}

// paper is [invite.Tickets] in clear: what begins with "ours." verifies.
type paper struct{ now func() time.Time }

func (p paper) Issue(c invite.Claims) (string, error) {
	b, err := json.Marshal(c)
	return "ours." + string(b), err
}

func (p paper) Verify(ticket string) (c invite.Claims, err error) {
	body, ok := strings.CutPrefix(ticket, "ours.")
	if !ok || json.Unmarshal([]byte(body), &c) != nil {
		return invite.Claims{}, fmt.Errorf("paper: %w", invite.ErrTicketInvalid)
	}
	if !c.Expires.IsZero() && p.now().After(c.Expires) {
		return c, fmt.Errorf("paper: %w", invite.ErrTicketExpired)
	}
	return c, nil
}

// pen is [invite.Letters]: a mail is its redeem URL.
type pen struct{ fail error }

func (p *pen) Invitation(_ context.Context, l invite.LetterData) (mail.Message, error) {
	if p.fail != nil {
		return mail.Message{}, p.fail
	}
	return mail.Message{
		MessageID: fmt.Sprintf("%s.%d@contoso.example", l.Invitation.ID, l.Send), From: "invites@contoso.example",
		To: l.Invitation.Email, Raw: []byte(l.RedeemURL),
	}, nil
}

func (p *pen) Copy(_ context.Context, l invite.LetterData) (mail.Message, bool, error) {
	if p.fail != nil || l.Invitation.CC == nil {
		return mail.Message{}, false, p.fail
	}
	return mail.Message{
		MessageID: fmt.Sprintf("copy.%s.%d@contoso.example", l.Invitation.ID, l.Send), From: "invites@contoso.example",
		To: *l.Invitation.CC, Raw: []byte("for your information"),
	}, true, nil
}

// drawer is [invite.Mailboxes]: filings by message id.
type drawer map[string]invite.Filing

func (d drawer) Filed(_ context.Context, messageID string, _ mail.Address) (invite.Filing, bool, error) {
	f, ok := d[messageID]
	return f, ok, nil
}
