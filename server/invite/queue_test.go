package invite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

// fate puts the newest mail into a state, with what the relay said.
func (r *rig) fate(s mail.DeliveryState) invite.Delivery {
	d := &r.store.deliveries[len(r.store.deliveries)-1]
	d.State, d.Attempts = s, 1
	d.Last = mail.Attempt{Number: 1, Relay: "relay:25", Stage: mail.StageRcpt, Code: 550, Text: "no"}
	r.store.attempts[d.ID] = []mail.Attempt{d.Last}
	return *d
}

func TestMailIsCanceledWithWhatItIsAbout(t *testing.T) {
	tests := []struct {
		name string
		do   func(*rig, invite.Created) error
	}{
		{"accepting the link of an earlier mail", func(r *rig, c invite.Created) error { _, err := r.accept(c.RedeemURL); return err }},
		{"revoking", func(r *rig, c invite.Created) error {
			_, err := r.Revoke(r.t.Context(), admin(), string(c.User.ID))
			return err
		}},
		{"resetting", func(r *rig, c invite.Created) error {
			if _, err := r.accept(c.RedeemURL); err != nil {
				return err
			}
			r.fate(mail.Deferred) // as if it had been queued since
			q := ask("ana@fabrikam.example")
			q.ResetRedemption, q.User = true, c.User.ID
			_, err := r.Create(r.t.Context(), admin(), q)
			return err
		}},
	}
	for _, tt := range tests {
		for _, state := range []mail.DeliveryState{mail.Queued, mail.Deferred} {
			t.Run(tt.name+" while it is "+string(state), func(t *testing.T) {
				r := newRig(t)
				c := r.invite("ana@fabrikam.example")
				_, err := r.Resend(t.Context(), admin(), string(c.User.ID), invite.Edit{})
				require.NoError(t, err)
				resent := r.fate(state)
				require.NoError(t, tt.do(r, c))
				got, err := r.store.Delivery(t.Context(), contoso, resent.ID)
				require.NoError(t, err)
				require.Equal(t, mail.Canceled, got.State)
			})
		}
	}
}

func TestMailIsListedForThoseWhoMayReadInvitations(t *testing.T) {
	r := newRig(t)
	r.invite("ana@fabrikam.example")
	r.fate(mail.Failed)
	r.invite("bob@fabrikam.example")
	rows, err := r.Mail(t.Context(), admin(), invite.MailQuery{})
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "bob@fabrikam.example", rows[0].To.String(), "newest first")
	rows, err = r.Mail(t.Context(), admin(), invite.MailQuery{State: mail.Failed})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	one, err := r.OneMail(t.Context(), admin(), rows[0].ID)
	require.NoError(t, err)
	require.Equal(t, 550, one.History[0].Code)

	_, err = r.Mail(t.Context(), person(), invite.MailQuery{})
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.OneMail(t.Context(), person(), rows[0].ID)
	requireReason(t, err, problem.Denied, problem.RoleRequired)
	_, err = r.OneMail(t.Context(), admin(), "nonsense")
	requireReason(t, err, problem.NotFound, problem.Missing)
	r.store.fail["ListMail"] = errDisk
	_, err = r.Mail(t.Context(), admin(), invite.MailQuery{})
	requireReason(t, err, problem.Internal, problem.NoReason)
}

func TestRedrive(t *testing.T) {
	tests := []struct {
		name  string
		state mail.DeliveryState
		after func(*rig, invite.Created)
		ok    bool
	}{
		{name: "failed", state: mail.Failed, ok: true},
		{name: "deferred", state: mail.Deferred, ok: true},
		{name: "queued already", state: mail.Queued},
		{name: "delivered", state: mail.Delivered},
		{name: "bounced", state: mail.Bounced},
		{name: "canceled", state: mail.Canceled},
		{name: "of an invitation that was revoked", state: mail.Failed, after: func(r *rig, c invite.Created) {
			_, err := r.Revoke(r.t.Context(), admin(), string(c.User.ID))
			require.NoError(r.t, err)
		}},
		{name: "of an invitation that was accepted", state: mail.Failed, after: func(r *rig, c invite.Created) {
			_, err := r.accept(c.RedeemURL)
			require.NoError(r.t, err)
		}},
		{name: "of a link that expired", state: mail.Failed, after: func(r *rig, _ invite.Created) { r.advance(31 * 24 * time.Hour) }},
		{name: "that moves on meanwhile", state: mail.Failed, after: func(r *rig, _ invite.Created) { r.store.fail["RedriveMail"] = directory.ErrStale }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.invite("ana@fabrikam.example")
			d := r.fate(tt.state)
			if tt.after != nil {
				tt.after(r, c)
			}
			woken := r.woken.Load()
			got, err := r.Redrive(t.Context(), admin(), d.ID)
			require.Equal(t, tt.ok, r.store.count(audit.RedriveMail) == 1)
			require.Equal(t, tt.ok, r.woken.Load() > woken)
			if !tt.ok {
				requireReason(t, err, problem.Conflict, problem.BadInput)
				return
			}
			require.NoError(t, err)
			require.Equal(t, mail.Queued, got.State)
			require.Equal(t, d.MessageID, got.MessageID)
			require.Len(t, got.History, 1, "the refusal stays on record")
		})
	}
	r := newRig(t)
	r.invite("ana@fabrikam.example")
	d := r.fate(mail.Failed)
	_, err := r.Redrive(t.Context(), person(), d.ID)
	requireReason(t, err, problem.Denied, problem.InvitesNotAllowed)
	_, err = r.Redrive(t.Context(), admin(), "nonsense")
	requireReason(t, err, problem.NotFound, problem.Missing)
}

func TestModeKeepsMailFromStrangers(t *testing.T) {
	r := newRig(t, func(o *invite.Options) {
		o.Mode = invite.Mode{Recipients: func(a mail.Address) bool { return a.Domain == "fabrikam.example" }, MailsPerDay: 2}
	})
	_, err := r.Create(t.Context(), admin(), ask("ana@woodgrove.example"))
	requireReason(t, err, problem.Denied, problem.DomainBlocked)
	q := ask("ana@fabrikam.example")
	q.CC = "boss@woodgrove.example"
	_, err = r.Create(t.Context(), admin(), q)
	requireReason(t, err, problem.Denied, problem.DomainBlocked)
	require.Equal(t, "ccRecipients", problem.Of(err).Field)
	require.Empty(t, r.store.letters)

	q = ask("ana@woodgrove.example")
	q.SendMessage = false
	c, err := r.Create(t.Context(), admin(), q)
	require.NoError(t, err, "whoever hands out the link needs no mail")
	_, err = r.Resend(t.Context(), admin(), string(c.User.ID), invite.Edit{})
	requireReason(t, err, problem.Denied, problem.DomainBlocked)

	r.invite("ana@fabrikam.example")
	r.invite("bob@fabrikam.example")
	_, err = r.Create(t.Context(), admin(), ask("cai@fabrikam.example"))
	requireReason(t, err, problem.TooMany, problem.RateLimited)
	r.advance(25 * time.Hour)
	r.invite("cai@fabrikam.example")
}
