package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

// Invitation returns an invitation.
func (r *Reader) Invitation(ctx context.Context, t directory.TenantID, id invite.ID) (invite.Invitation, error) {
	return one(ctx, r, r.q.invitation, invitationParams{Tenant: string(t), ID: string(id)}, invitationOf)
}

// LatestInvitation returns the newest invitation of a user.
func (r *Reader) LatestInvitation(ctx context.Context, t directory.TenantID, u directory.UserID) (invite.Invitation, error) {
	return one(ctx, r, r.q.latestInvitation, latestInvitationParams{Tenant: string(t), UserID: string(u)}, invitationOf)
}

// ListInvitations lists invitations, newest first. With a text, and no user,
// they are in the order of the address and the newest first of each address:
// so a page costs what it holds, however many invitations match.
func (r *Reader) ListInvitations(ctx context.Context, t directory.TenantID, q invite.Query) ([]invite.Invitation, error) {
	before := string(q.After)
	if before == "" {
		before = last
	}
	from, to := prefix(q.Text)
	limit := pageSize(q.Limit)
	switch {
	case q.User != "":
		return many(ctx, r, r.q.listInvitationsOfUser, listInvitationsOfUserParams{
			Tenant: string(t), UserID: string(q.User), Before: before, EmailFrom: from, EmailTo: to,
			OpenOnly: flag(q.Open), Now: micros(q.Now), MaxRows: limit,
		}, invitationOf)
	case q.Text != "":
		if q.After != "" {
			place, err := r.q.invitation(ctx, invitationParams{Tenant: string(t), ID: string(q.After)})
			if errors.Is(err, sql.ErrNoRows) {
				return nil, fmt.Errorf("%w: the last invitation of the page before is gone", directory.ErrStale)
			}
			if err != nil {
				return nil, r.fail(err)
			}
			from = max(from, place.EmailKey)
		}
		return many(ctx, r, r.q.listInvitationsByEmail, listInvitationsByEmailParams{
			Tenant: string(t), EmailFrom: from, EmailTo: to, Before: before,
			OpenOnly: flag(q.Open), Now: micros(q.Now), MaxRows: limit,
		}, invitationOf)
	case q.Open:
		return many(ctx, r, r.q.listOpenInvitations, listOpenInvitationsParams{
			Tenant: string(t), Before: before, Now: micros(q.Now), MaxRows: limit,
		}, invitationOf)
	default:
		return many(ctx, r, r.q.listInvitations, listInvitationsParams{Tenant: string(t), Before: before, MaxRows: limit}, invitationOf)
	}
}

// Views returns how often a link was opened; zero if it never was.
func (r *Reader) Views(ctx context.Context, t directory.TenantID, id invite.ID) (invite.Views, error) {
	row, err := r.q.views(ctx, viewsParams{Tenant: string(t), InvitationID: string(id)})
	if errors.Is(err, sql.ErrNoRows) {
		return invite.Views{}, nil
	}
	return invite.Views{
		Count: int(row.Views), Automated: int(row.Automated), First: moment(row.FirstAt), Last: moment(row.LastAt),
	}, r.fail(err)
}

func countViews(t directory.TenantID, id invite.ID, v invite.Views) step {
	row := addViewsParams{
		Tenant: string(t), InvitationID: string(id), Views: int64(v.Count), Automated: int64(v.Automated),
		FirstAt: micros(v.First), LastAt: micros(v.Last),
	}
	return func(ctx context.Context, q *Queries) error {
		_, err := q.invitation(ctx, invitationParams{Tenant: row.Tenant, ID: row.InvitationID})
		if errors.Is(err, sql.ErrNoRows) {
			return directory.ErrNotFound
		}
		if err != nil {
			return err
		}
		return q.addViews(ctx, row)
	}
}

func invitationOf(row Invitation) (invite.Invitation, error) {
	i := invite.Invitation{
		Tenant:      directory.TenantID(row.Tenant),
		ID:          invite.ID(row.ID),
		User:        directory.UserID(row.UserID),
		Email:       mail.Address{Local: row.EmailLocal, Domain: row.EmailDomain},
		DisplayName: row.DisplayName,
		UserType:    directory.UserType(row.UserType),
		RedirectURL: row.RedirectUrl,
		SendMessage: row.SendMessage != 0,
		Message:     row.Message,
		Language:    row.Language,
		CCName:      row.CcName,
		InviterID:   row.InviterID,
		InviterName: row.InviterName,
		InviterMail: row.InviterMail,
		Generation:  int(row.Generation),
		JTI:         row.Jti,
		Sends:       int(row.Sends),
		Created:     moment(row.CreatedAt),
		Sent:        moment(row.SentAt),
		Expires:     moment(row.ExpiresAt),
		Revoked:     moment(row.RevokedAt),
		Accepted:    moment(row.AcceptedAt),
		Declined:    moment(row.DeclinedAt),
		Version:     row.Version,
	}
	if row.CcLocal != "" {
		i.CC = &mail.Address{Local: row.CcLocal, Domain: row.CcDomain}
	}
	return i, nil
}

func invitationRow(i invite.Invitation) insertInvitationParams {
	row := insertInvitationParams{
		UserID:      string(i.User),
		EmailLocal:  i.Email.Local,
		EmailDomain: i.Email.Domain,
		EmailKey:    i.Email.Key(),
		DisplayName: i.DisplayName,
		UserType:    string(i.UserType),
		RedirectUrl: i.RedirectURL,
		SendMessage: flag(i.SendMessage),
		Message:     i.Message,
		Language:    i.Language,
		CcName:      i.CCName,
		InviterID:   i.InviterID,
		InviterName: i.InviterName,
		InviterMail: i.InviterMail,
		Generation:  int64(i.Generation),
		Jti:         i.JTI,
		Sends:       int64(i.Sends),
		CreatedAt:   micros(i.Created),
		SentAt:      micros(i.Sent),
		ExpiresAt:   micros(i.Expires),
		RevokedAt:   micros(i.Revoked),
		AcceptedAt:  micros(i.Accepted),
		DeclinedAt:  micros(i.Declined),
		Tenant:      string(i.Tenant),
		ID:          string(i.ID),
		Version:     i.Version,
	}
	if i.CC != nil {
		row.CcLocal, row.CcDomain = i.CC.Local, i.CC.Domain
	}
	return row
}

func newInvitation(i invite.Invitation) step {
	row := invitationRow(i)
	return func(ctx context.Context, q *Queries) error { return q.insertInvitation(ctx, row) }
}

func replaceInvitation(i invite.Invitation) step {
	row := updateInvitationParams(invitationRow(i))
	return func(ctx context.Context, q *Queries) error {
		n, err := q.updateInvitation(ctx, row)
		return changed(n, err, "invitation", row.ID)
	}
}
