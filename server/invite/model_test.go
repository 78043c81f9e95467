package invite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

// A model is what the life of one guest should be, told as simply as possible:
// which links exist, of which generation, and until when.
type model struct {
	rig      *rig
	policy   directory.OnResend
	fallback directory.Fallback

	guest      directory.UserID
	generation int
	accepted   bool
	deleted    bool

	invitations []*modelInvitation // oldest first
	links       []modelLink

	mails, accepts int             // so far
	blocked        map[string]bool // by address
	held           int             // mails that were held back
	blocks         int             // and how often somebody blocked,
	undone         int             // or undid it
}

type modelInvitation struct {
	email      string
	id         invite.ID
	generation int
	expires    time.Time
	accepted   bool
	declined   bool
	revoked    bool
}

type modelLink struct {
	url        string
	inv        *modelInvitation
	generation int
	expires    time.Time
}

const (
	modelGuest = "ana@fabrikam.example"
	modelMoved = "ana@litware.example"
)

// posted notes that a mail was asked for.
func (m *model) posted(email string) {
	if m.blocked[email] {
		m.held++
	} else {
		m.mails++
	}
}

func (m *model) now() time.Time { return m.rig.now() }

// expiry is that of a link made now.
func (m *model) expiry() time.Time { return m.now().Add(directory.DefaultLinkLifetime) }

// latest is the newest invitation.
func (m *model) latest() *modelInvitation { return m.invitations[len(m.invitations)-1] }

// refusal is why a link should be refused; no reason if it works.
func (m *model) refusal(l modelLink) problem.Reason {
	switch {
	case m.deleted:
		return problem.GuestDeleted
	case l.inv.revoked:
		return problem.LinkRevoked
	case l.generation != m.generation && m.latest().revoked:
		return problem.LinkRevoked
	case l.generation != m.generation:
		return problem.LinkReplaced
	// A guest who is in finds the way back with an old link, if there is
	// another proof than the link.
	case m.accepted && m.fallback == directory.FallbackOTP:
		return problem.NoReason
	case !m.now().Before(l.expires), !m.now().Before(l.inv.expires) && !m.accepted:
		return problem.LinkExpired
	default:
		return problem.NoReason
	}
}

// state is what people should see of an invitation.
func (m *model) state(i *modelInvitation) invite.State {
	switch {
	case m.deleted:
		return invite.StateDeleted
	case i.accepted, m.accepted && i.generation == m.generation:
		return invite.StateAccepted
	case i.revoked:
		return invite.StateRevoked
	case i.generation != m.generation:
		return invite.StateReplaced
	case !m.now().Before(i.expires):
		return invite.StateExpired
	case i.declined:
		return invite.StateDeclined
	default:
		return invite.StatePending
	}
}

func (m *model) create(t *rapid.T) {
	send := rapid.Bool().Draw(t, "send")
	q := ask(modelGuest)
	q.SendMessage = send
	c, err := m.rig.Create(t.Context(), admin(), q)
	require.NoError(t, err)
	fresh := m.guest == "" || m.deleted
	require.Equal(t, fresh, c.NewUser)
	if fresh {
		// What hung on the deleted guest is another story from here on.
		m.guest, m.generation, m.accepted, m.deleted = c.User.ID, 1, false, false
		m.invitations, m.links = nil, nil
	} else if !m.accepted && m.policy == directory.SupersedeLinks {
		m.generation++
	}
	require.Equal(t, m.guest, c.User.ID)
	inv := &modelInvitation{email: modelGuest, id: c.Invitation.ID, generation: m.generation, expires: m.expiry(), accepted: m.accepted}
	m.invitations = append(m.invitations, inv)
	m.links = append(m.links, modelLink{c.RedeemURL, inv, m.generation, inv.expires})
	if send && !m.accepted {
		m.posted(modelGuest)
	}
}

func (m *model) resend(t *rapid.T) {
	if len(m.invitations) == 0 {
		t.Skip("nobody was invited")
	}
	inv := rapid.SampledFrom(m.invitations).Draw(t, "invitation")
	c, err := m.rig.Resend(t.Context(), admin(), string(inv.id), invite.Edit{})
	switch s := m.state(inv); {
	case s == invite.StateDeleted, s == invite.StateAccepted, s == invite.StateRevoked, s == invite.StateReplaced && inv != m.latest():
		require.True(t, problem.Is(err, problem.Conflict), "%s: %v", s, err)
		return
	}
	require.NoError(t, err)
	if m.policy == directory.SupersedeLinks {
		m.generation++
	}
	inv.generation, inv.expires, inv.declined = m.generation, m.expiry(), false
	m.links = append(m.links, modelLink{c.RedeemURL, inv, m.generation, inv.expires})
	m.posted(inv.email)
}

func (m *model) revoke(t *rapid.T) {
	if len(m.invitations) == 0 {
		t.Skip("nobody was invited")
	}
	inv := rapid.SampledFrom(m.invitations).Draw(t, "invitation")
	_, err := m.rig.Revoke(t.Context(), admin(), string(inv.id))
	switch s := m.state(inv); {
	case s == invite.StateRevoked:
		require.NoError(t, err)
		return
	case s == invite.StateDeleted, s == invite.StateAccepted, s == invite.StateReplaced && inv != m.latest():
		require.True(t, problem.Is(err, problem.Conflict), "%s: %v", s, err)
		return
	}
	require.NoError(t, err)
	inv.revoked, m.latest().revoked = true, true
	m.generation++
}

// link draws one of the links ever mailed to this guest.
func (m *model) link(t *rapid.T) modelLink {
	if len(m.links) == 0 {
		t.Skip("there is no link")
	}
	return rapid.SampledFrom(m.links).Draw(t, "link")
}

func (m *model) accept(t *rapid.T) {
	l := m.link(t)
	red, err := m.rig.accept(l.url)
	if want := m.refusal(l); want != problem.NoReason {
		require.True(t, problem.Has(err, want), "want %s, got %v", want, err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, invite.StateAccepted, red.State)
	if !m.accepted {
		m.accepts++
		l.inv.accepted = true
	}
	m.accepted = true
}

func (m *model) decline(t *rapid.T) {
	l := m.link(t)
	red, err := m.rig.open(l.url)
	if want := m.refusal(l); want != problem.NoReason {
		require.True(t, problem.Has(err, want), "want %s, got %v", want, err)
		return
	}
	require.NoError(t, err)
	_, err = m.rig.Decline(t.Context(), red.Claims)
	if m.accepted {
		require.True(t, problem.Has(err, problem.AlreadyAccepted))
		return
	}
	require.NoError(t, err)
	l.inv.declined = true
}

func (m *model) reset(t *rapid.T) {
	m.resetTo(t, modelGuest)
}

// move resets a guest to an address that was added meanwhile.
func (m *model) move(t *rapid.T) {
	if m.guest != "" && !m.deleted {
		m.rig.store.edit(m.guest, func(u *directory.User) { u.OtherMails = append(u.OtherMails, modelMoved) })
	}
	m.resetTo(t, modelMoved)
}

func (m *model) resetTo(t *rapid.T, email string) {
	if m.guest == "" || m.deleted {
		t.Skip("there is no guest")
	}
	q := ask(email)
	q.ResetRedemption, q.User = true, m.guest
	c, err := m.rig.Create(t.Context(), admin(), q)
	require.NoError(t, err)
	require.Equal(t, m.guest, c.User.ID)
	m.generation++
	m.accepted = false
	inv := &modelInvitation{email: email, id: c.Invitation.ID, generation: m.generation, expires: m.expiry()}
	m.invitations = append(m.invitations, inv)
	m.links = append(m.links, modelLink{c.RedeemURL, inv, m.generation, inv.expires})
	m.posted(email)
}

// optOut draws an invitation and follows its link to block, which never dies.
func (m *model) optOut(t *rapid.T) (invite.Blocking, string) {
	if len(m.invitations) == 0 {
		t.Skip("nobody was invited")
	}
	inv := rapid.SampledFrom(m.invitations).Draw(t, "invitation")
	ticket := m.rig.OptOut(invite.LetterData{
		Tenant: m.rig.store.tenant, Guest: directory.User{ID: m.guest}, Invitation: m.rig.store.invitations[inv.id], Now: m.now(),
	})
	b, err := m.rig.OpenBlock(t.Context(), ticket)
	require.NoError(t, err)
	require.Equal(t, m.blocked[inv.email], b.Blocked())
	return b, inv.email
}

func (m *model) block(t *rapid.T) {
	b, email := m.optOut(t)
	_, err := m.rig.Block(t.Context(), b.Claims)
	require.NoError(t, err)
	if !m.blocked[email] {
		m.blocks++
	}
	m.blocked[email] = true
}

func (m *model) unblock(t *rapid.T) {
	b, email := m.optOut(t)
	if !m.blocked[email] {
		t.Skip("nothing is blocked")
	}
	m.rig.advance(time.Hour) // past the limits
	_, err := m.rig.AskUnblockCode(t.Context(), b.Claims, "session")
	require.NoError(t, err)
	_, err = m.rig.Unblock(t.Context(), b.Claims, "session", m.rig.lastCode(), "net")
	require.NoError(t, err)
	m.undone++
	m.blocked[email] = false
}

func (m *model) delete(t *rapid.T) {
	if m.guest == "" || m.deleted {
		t.Skip("there is no guest")
	}
	m.rig.store.edit(m.guest, func(u *directory.User) { u.Deleted = m.now(); u.Generation++ })
	m.deleted = true
	m.generation++
}

func (m *model) restore(t *rapid.T) {
	if !m.deleted {
		t.Skip("nobody is deleted")
	}
	m.rig.store.edit(m.guest, func(u *directory.User) { u.Deleted = time.Time{} })
	m.deleted = false
}

func (m *model) wait(t *rapid.T) {
	m.rig.advance(time.Duration(rapid.IntRange(1, 20).Draw(t, "days")) * 24 * time.Hour)
}

// byCode and byLink change what proves who the guest is.
func (m *model) byCode(*rapid.T) { m.fallback = directory.FallbackOTP; m.setPolicy() }
func (m *model) byLink(*rapid.T) { m.fallback = directory.FallbackLink; m.setPolicy() }

func (m *model) supersede(*rapid.T) { m.policy = directory.SupersedeLinks; m.setPolicy() }
func (m *model) keep(*rapid.T)      { m.policy = directory.KeepLinks; m.setPolicy() }
func (m *model) setPolicy() {
	m.rig.store.policy.OnResend, m.rig.store.policy.Fallback = m.policy, m.fallback
}

// check compares everything that can be seen with the model.
func (m *model) check(t *rapid.T) {
	mails := 0
	for _, l := range m.rig.store.letters {
		if l.Kind == invite.LetterInvitation {
			mails++
		}
	}
	require.Equal(t, m.mails, mails)
	require.Equal(t, m.held, m.rig.store.count(audit.EmailNotSent))
	require.Equal(t, m.blocks, m.rig.store.count(audit.EmailUnsubscribed), "one event for each block")
	require.Equal(t, m.undone, m.rig.store.count(audit.EmailSubscribed))
	require.Equal(t, m.accepts, m.rig.store.count(audit.RedeemInvite), "one event for each acceptance")
	if m.guest == "" {
		return
	}
	u := m.rig.store.users[m.guest]
	require.Equal(t, m.generation, u.Generation)
	require.Equal(t, m.accepted, u.State == directory.Accepted)
	for n, i := range m.invitations {
		require.Equal(t, m.state(i), m.rig.store.invitations[i.id].StateAt(u, m.now()), fmt.Sprintf("invitation %d", n))
	}
	for n, l := range m.links {
		_, err := m.rig.open(l.url)
		if want := m.refusal(l); want != problem.NoReason {
			require.True(t, problem.Has(err, want), "link %d: want %s, got %v", n, want, err)
		} else {
			require.NoError(t, err, "link %d", n)
		}
	}
}

// TestLife checks any order of everything that may happen to a guest against
// the model.
func TestLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{rig: newRig(t, withOptOuts), policy: directory.KeepLinks, fallback: directory.FallbackLink, blocked: map[string]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "resend": m.resend, "revoke": m.revoke, "accept": m.accept, "decline": m.decline,
			"reset": m.reset, "delete": m.delete, "restore": m.restore, "wait": m.wait,
			"move": m.move, "block": m.block, "unblock": m.unblock, "byCode": m.byCode, "byLink": m.byLink,
			"supersede": m.supersede, "keep": m.keep, "": m.check,
		})
	})
}
