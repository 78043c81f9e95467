package invite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func TestDiagnose(t *testing.T) {
	// deliver ends the last mail in a state, with what the relay said.
	deliver := func(r *rig, s mail.DeliveryState, a mail.Attempt) {
		d := &r.store.deliveries[len(r.store.deliveries)-1]
		d.State, d.Last, d.Attempts = s, a, a.Number
		if !s.Final() {
			d.Next = r.now().Add(time.Minute)
		}
	}
	ok := mail.Attempt{Number: 1, Relay: "127.0.0.1:1025", Stage: mail.StageDot, Code: 250, Text: "queued"}
	file := func(r *rig, folder string, hits ...invite.Hit) {
		deliver(r, mail.Delivered, ok)
		d := r.store.deliveries[len(r.store.deliveries)-1]
		r.drawer[d.MessageID] = invite.Filing{ID: "f1", Folder: folder, Score: 6.5, Hits: hits}
	}
	home := func(r *rig, h directory.HomeTenant) {
		h.Domain = "fabrikam.example"
		r.store.homes[h.Domain] = h
	}
	view := func(r *rig, c invite.Created) {
		red, _ := r.open(c.RedeemURL)
		r.Viewed(red.Claims, false)
	}
	tests := []struct {
		name     string
		bring    func(*rig, invite.Created)
		step     string // the last one
		reason   problem.Reason
		evidence map[string]string // some of it
	}{
		{"deleted", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Deleted = r.now() })
		}, "policy", problem.GuestDeleted, map[string]string{"deleted": "2026-01-02T03:04:05Z"}},
		{"disabled", func(r *rig, c invite.Created) {
			r.store.edit(c.User.ID, func(u *directory.User) { u.Enabled = false })
		}, "policy", problem.AccountDisabled, map[string]string{"accountEnabled": "false"}},
		{"domain blocked", func(r *rig, _ invite.Created) { r.store.policy.BlockedDomains = []string{"fabrikam.example"} }, "policy", problem.DomainBlocked, map[string]string{"domain": "fabrikam.example"}},
		{"still in the queue", func(*rig, invite.Created) {}, "queue", problem.MailQueued, map[string]string{"mails": "1", "delivery": "queued"}},
		{"deferred", func(r *rig, _ invite.Created) {
			deliver(r, mail.Deferred, mail.Attempt{Number: 2, Relay: "relay:25", Stage: mail.StageRcpt, Code: 451, Text: "4.7.1 greylisted"})
		}, "relay", problem.MailDeferred, map[string]string{"attempt": "2", "code": "451", "text": "4.7.1 greylisted", "next": "2026-01-02T03:05:05Z"}},
		{"refused", func(r *rig, _ invite.Created) {
			deliver(r, mail.Failed, mail.Attempt{Number: 1, Relay: "relay:25", Stage: mail.StageRcpt, Code: 550, Text: "5.1.1 unknown"})
		}, "relay", problem.MailFailed, map[string]string{"code": "550", "stage": "rcpt", "relay": "relay:25"}},
		{"bounced", func(r *rig, _ invite.Created) { deliver(r, mail.Bounced, ok) }, "bounce", problem.MailBounced, nil},
		{"suppressed", func(r *rig, _ invite.Created) { deliver(r, mail.Suppressed, mail.Attempt{}) }, "bounce", problem.RecipientSuppressed, nil},
		{"filed before the relay's answer was recorded", func(r *rig, _ invite.Created) {
			r.drawer[r.store.deliveries[0].MessageID] = invite.Filing{ID: "f1", Folder: "Junk"}
		}, "folder", problem.MailInJunk, nil},
		{"in Junk", func(r *rig, _ invite.Created) { file(r, "Junk", invite.Hit{Rule: "FORCED", Why: "told to"}) }, "folder", problem.MailInJunk, map[string]string{"folder": "Junk", "score": "6.5", "message": "f1"}},
		{"in Junk and clicked by a scanner only", func(r *rig, c invite.Created) {
			file(r, "Junk")
			red, _ := r.open(c.RedeemURL)
			r.Viewed(red.Claims, true)
		}, "folder", problem.MailInJunk, nil},
		{"in Junk, found there and opened", func(r *rig, c invite.Created) { file(r, "Junk"); view(r, c) }, "consent", problem.LinkOpened, nil},
		{"in Junk, sent again to the Inbox", func(r *rig, c invite.Created) {
			file(r, "Junk")
			_, err := r.Resend(r.t.Context(), admin(), string(c.User.ID), invite.Edit{})
			require.NoError(r.t, err)
			file(r, "Inbox")
		}, "consent", problem.MailDelivered, nil},
		{"expired", func(r *rig, _ invite.Created) { file(r, "Inbox"); r.advance(31 * 24 * time.Hour) }, "lifetime", problem.LinkExpired, map[string]string{"expires": "2026-02-01T03:04:05Z"}},
		{"revoked before it left", func(r *rig, c invite.Created) {
			_, err := r.Revoke(r.t.Context(), admin(), string(c.User.ID))
			require.NoError(r.t, err)
		}, "lifetime", problem.LinkRevoked, map[string]string{"revoked": "2026-01-02T03:04:05Z"}},
		{"deleted and restored", func(r *rig, c invite.Created) {
			file(r, "Inbox")
			r.store.edit(c.User.ID, func(u *directory.User) { u.Generation++ })
		}, "lifetime", problem.LinkReplaced, nil},
		{"home blocks just-in-time accounts", func(r *rig, c invite.Created) { file(r, "Inbox"); home(r, directory.HomeTenant{}); view(r, c) },
			"home", problem.JITDisabled, map[string]string{"domain": "fabrikam.example", "allowEmailVerifiedUsers": "false"}},
		{"home will block, though nobody has tried", func(r *rig, _ invite.Created) { file(r, "Inbox"); home(r, directory.HomeTenant{}) }, "home", problem.JITDisabled, nil},
		{"home is federated", func(r *rig, _ invite.Created) {
			file(r, "Inbox")
			home(r, directory.HomeTenant{AllowEmailVerifiedUsers: true, Federated: true})
		}, "home", problem.HomeFederated, map[string]string{"federated": "true"}},
		{"delivered, not opened", func(r *rig, _ invite.Created) { file(r, "Inbox") }, "consent", problem.MailDelivered, nil},
		{"delivered to who knows where", func(r *rig, _ invite.Created) { deliver(r, mail.Delivered, ok) }, "consent", problem.MailDelivered, nil},
		{"opened", func(r *rig, c invite.Created) { file(r, "Inbox"); view(r, c) }, "consent", problem.LinkOpened, nil},
		{"opened before the relay's answer was stored", func(r *rig, c invite.Created) { view(r, c) }, "consent", problem.LinkOpened, nil},
		{"declined", func(r *rig, c invite.Created) {
			file(r, "Inbox")
			red, _ := r.open(c.RedeemURL)
			_, err := r.Decline(r.t.Context(), red.Claims)
			require.NoError(r.t, err)
		}, "consent", problem.Declined, map[string]string{"declined": "2026-01-02T03:04:05Z"}},
		{"accepted, no apps", func(r *rig, c invite.Created) {
			file(r, "Inbox")
			_, err := r.accept(c.RedeemURL)
			require.NoError(r.t, err)
		}, "apps", problem.NoApps, map[string]string{"apps": "0"}},
		{"accepted out of Junk long ago, one app", func(r *rig, c invite.Created) {
			file(r, "Junk")
			_, err := r.accept(c.RedeemURL)
			require.NoError(r.t, err)
			r.store.appsOf[c.User.ID] = []directory.AppID{"app-expenses"}
			r.advance(365 * 24 * time.Hour)
		}, "apps", problem.Complete, map[string]string{"apps": "1"}},
	}
	order := []string{"policy", "address", "queue", "relay", "bounce", "folder", "link", "lifetime", "home", "consent", "apps"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			tt.bring(r, c)
			d, err := r.Diagnose(t.Context(), admin(), string(c.User.ID))
			require.NoError(t, err)
			require.Equal(t, tt.reason, d.Reason)
			require.Equal(t, c.User.ID, d.User.ID)
			for i, s := range d.Steps {
				require.Equal(t, order[i], s.Name)
				if i < len(d.Steps)-1 {
					require.True(t, s.OK, s.Name)
					require.Empty(t, s.Reason)
				}
			}
			last := d.Steps[len(d.Steps)-1]
			require.Equal(t, tt.step, last.Name)
			require.Equal(t, tt.reason, last.Reason)
			require.Equal(t, tt.reason == problem.Complete, last.OK)
			for k, v := range tt.evidence {
				require.Equal(t, v, last.Evidence[k], k)
			}
		})
	}
}

func TestDiagnoseGivesTheHits(t *testing.T) {
	r := newRig(t)
	c := r.invite("ana@fabrikam.example")
	r.store.deliveries[0].State = mail.Delivered
	r.drawer[r.store.deliveries[0].MessageID] = invite.Filing{Folder: "Junk", Hits: []invite.Hit{{Rule: "NO_DKIM", Score: 1, Why: "unsigned", Fix: "sign"}}}
	d, err := r.Diagnose(t.Context(), admin(), string(c.Invitation.ID))
	require.NoError(t, err)
	require.Equal(t, "NO_DKIM", d.Steps[len(d.Steps)-1].Hits[0].Rule)
}

func TestDiagnoseWithoutMail(t *testing.T) {
	r := newRig(t)
	q := ask("ana@fabrikam.example")
	q.SendMessage = false
	c, err := r.Create(t.Context(), admin(), q)
	require.NoError(t, err)
	d, err := r.Diagnose(t.Context(), admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.MailNotRequested, d.Reason)

	red, err := r.open(c.RedeemURL)
	require.NoError(t, err)
	r.Viewed(red.Claims, false)
	d, err = r.Diagnose(t.Context(), admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.LinkOpened, d.Reason, "the link got there by another way")
}

func TestDiagnoseRefuses(t *testing.T) {
	r := newRig(t)
	r.invite("ana@fabrikam.example")
	_, err := r.Diagnose(t.Context(), person(), "ana@fabrikam.example")
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.Diagnose(t.Context(), admin(), "ben@fabrikam.example")
	requireReason(t, err, problem.NotFound, problem.Missing)
	_, err = r.Diagnose(t.Context(), admin(), string(globalA))
	requireReason(t, err, problem.NotFound, problem.Missing)
}

func TestReading(t *testing.T) {
	r := newRig(t)
	ana := r.invite("ana@fabrikam.example")
	ben := r.invite("ben@fabrikam.example")
	r.store.attempts[r.store.deliveries[0].ID] = []mail.Attempt{{Number: 1, Code: 451}}
	r.drawer[r.store.deliveries[0].MessageID] = invite.Filing{Folder: "Inbox"}

	list, err := r.List(t.Context(), admin(), invite.Query{})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, ben.Invitation.ID, list[0].Invitation.ID, "newest first")
	require.Equal(t, "ben@fabrikam.example", list[0].User.Mail)
	require.Equal(t, invite.StatePending, list[0].State)
	list, err = r.List(t.Context(), admin(), invite.Query{Text: "ana@", Limit: 5000})
	require.NoError(t, err)
	require.Len(t, list, 1)

	ds, err := r.Deliveries(t.Context(), admin(), ana.Invitation.ID)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.Equal(t, 451, ds[0].History[0].Code)
	require.Equal(t, "Inbox", ds[0].Filing.Folder)

	events, err := r.Events(t.Context(), admin(), ana.Invitation.ID, "", 0)
	require.NoError(t, err)
	require.Len(t, events, 2)
	events, err = r.Events(t.Context(), admin(), ana.Invitation.ID, events[0].ID, 0)
	require.NoError(t, err)
	require.Len(t, events, 1)

	for name, call := range map[string]func(directory.Actor) error{
		"Get":        func(a directory.Actor) error { _, err := r.Get(t.Context(), a, "ana@fabrikam.example"); return err },
		"List":       func(a directory.Actor) error { _, err := r.List(t.Context(), a, invite.Query{}); return err },
		"Deliveries": func(a directory.Actor) error { _, err := r.Deliveries(t.Context(), a, ana.Invitation.ID); return err },
		"Events": func(a directory.Actor) error {
			_, err := r.Events(t.Context(), a, ana.Invitation.ID, "", 0)
			return err
		},
	} {
		require.True(t, problem.Is(call(person()), problem.Denied), name)
	}
}
