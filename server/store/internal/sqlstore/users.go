package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"invited/mail"
	"invited/server/directory"
	"invited/server/tenant"
)

// User returns a user, deleted or not.
func (r *Reader) User(ctx context.Context, t directory.TenantID, id directory.UserID) (directory.User, error) {
	return one(ctx, r, r.q.user, userParams{Tenant: string(t), ID: string(id)}, userOf)
}

// UserByUPN returns the live user with a UPN, ignoring case.
func (r *Reader) UserByUPN(ctx context.Context, t directory.TenantID, upn string) (directory.User, error) {
	return one(ctx, r, r.q.userByUPN, userByUPNParams{Tenant: string(t), AddressKey: key(upn)}, userOf)
}

// UserByAddress returns the live user who has an address or whose UPN it is.
func (r *Reader) UserByAddress(ctx context.Context, t directory.TenantID, a mail.Address) (directory.User, error) {
	return one(ctx, r, r.q.userByName, userByNameParams{Tenant: string(t), AddressKey: a.Key()}, userOf)
}

// ListUsers lists users by id. With a prefix the order is that of the prefixed
// field, and then of the id: so a page costs what it holds, however many users
// match.
func (r *Reader) ListUsers(ctx context.Context, t directory.TenantID, q tenant.UserQuery) ([]directory.User, error) {
	live := flag(!q.Deleted)
	userType, state := string(q.Type), string(q.State)
	switch {
	case q.ID != "":
		u, err := r.User(ctx, t, q.ID)
		if errors.Is(err, directory.ErrNotFound) || err == nil && !matches(u, q) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []directory.User{u}, nil
	case q.UPN != "" || q.Address != "":
		return r.listUsersByName(ctx, t, q)
	case q.MailPrefix != "" || q.NamePrefix != "":
		return r.listUsersByPrefix(ctx, t, q)
	case q.State != "":
		return many(ctx, r, r.q.listUsersByState, listUsersByStateParams{
			Tenant: string(t), Live: live, ExternalState: state, UserType: userType, After: string(q.After), MaxRows: pageSize(q.Limit),
		}, userOf)
	case q.Type != "":
		return many(ctx, r, r.q.listUsersByType, listUsersByTypeParams{
			Tenant: string(t), Live: live, UserType: userType, After: string(q.After), MaxRows: pageSize(q.Limit),
		}, userOf)
	default:
		return many(ctx, r, r.q.listUsers, listUsersParams{
			Tenant: string(t), Live: live, After: string(q.After), MaxRows: pageSize(q.Limit),
		}, userOf)
	}
}

// listUsersByName lists who holds one address or UPN: at most one live user,
// or the deleted ones by id.
func (r *Reader) listUsersByName(ctx context.Context, t directory.TenantID, q tenant.UserQuery) ([]directory.User, error) {
	p := listUsersByNameParams{
		Tenant: string(t), AddressKey: key(q.Address), NotKinds: kindUPN,
		Live: flag(!q.Deleted), After: string(q.After), UserType: string(q.Type), ExternalState: string(q.State),
		MaxRows: pageSize(q.Limit),
	}
	p.MailFrom, p.MailTo = prefix(q.MailPrefix)
	p.NameFrom, p.NameTo = prefix(q.NamePrefix)
	p.FromHolder, p.ToHolder = "", firstHolder
	if q.Deleted {
		p.FromHolder, p.ToHolder = firstHolder, last
	}
	if q.UPN != "" {
		p.AddressKey, p.MinKinds, p.NotKinds = key(q.UPN), kindUPN, 0
	}
	users, err := many(ctx, r, r.q.listUsersByName, p, userOf)
	if q.UPN == "" || q.Address == "" {
		return users, err
	}
	both := users[:0]
	for _, u := range users {
		if matches(u, q) {
			both = append(both, u)
		}
	}
	return both, err
}

// listUsersByPrefix goes on after q.After in the order of the prefixed field.
// It answers ErrStale if that user was purged meanwhile: the place is lost.
func (r *Reader) listUsersByPrefix(ctx context.Context, t directory.TenantID, q tenant.UserQuery) ([]directory.User, error) {
	var place userKeysRow
	if q.After != "" {
		var err error
		place, err = r.q.userKeys(ctx, userKeysParams{Tenant: string(t), ID: string(q.After)})
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%w: the last user of the page before is gone", directory.ErrStale)
		}
		if err != nil {
			return nil, r.fail(err)
		}
	}
	from := func(start, place string) (string, string) {
		if q.After == "" || place < start { // renamed out of the range: begin again
			return start, ""
		}
		return place, string(q.After)
	}
	if q.MailPrefix == "" {
		start, end := prefix(q.NamePrefix)
		start, after := from(start, place.NameKey)
		return many(ctx, r, r.q.listUsersByNamePrefix, listUsersByNamePrefixParams{
			Tenant: string(t), Live: flag(!q.Deleted), NameFrom: start, NameTo: end, After: after,
			UserType: string(q.Type), ExternalState: string(q.State), MaxRows: pageSize(q.Limit),
		}, userOf)
	}
	start, end := prefix(q.MailPrefix)
	start, after := from(start, place.MailKey)
	nameFrom, nameTo := prefix(q.NamePrefix)
	return many(ctx, r, r.q.listUsersByMailPrefix, listUsersByMailPrefixParams{
		Tenant: string(t), Live: flag(!q.Deleted), MailFrom: start, MailTo: end, After: after, NameFrom: nameFrom, NameTo: nameTo,
		UserType: string(q.Type), ExternalState: string(q.State), MaxRows: pageSize(q.Limit),
	}, userOf)
}

// matches says whether one user answers a query, as the statements do.
func matches(u directory.User, q tenant.UserQuery) bool {
	names := namesOf(u)
	return (q.Type == "" || u.Type == q.Type) &&
		(q.State == "" || u.State == q.State) &&
		(q.UPN == "" || key(u.UPN) == key(q.UPN)) &&
		(q.Address == "" || names[key(q.Address)]&^kindUPN != 0) &&
		strings.HasPrefix(key(u.Mail), key(q.MailPrefix)) &&
		strings.HasPrefix(key(u.DisplayName), key(q.NamePrefix)) &&
		u.Deleted.IsZero() != q.Deleted &&
		(q.After == "" || u.ID > q.After)
}

// identityJSON is directory.Identity as it is stored.
type identityJSON struct {
	SignInType       string `json:"signInType"`
	Issuer           string `json:"issuer"`
	IssuerAssignedID string `json:"issuerAssignedId"`
}

func userOf(row User) (directory.User, error) {
	u := directory.User{
		Tenant:            directory.TenantID(row.Tenant),
		ID:                directory.UserID(row.ID),
		UPN:               row.Upn,
		DisplayName:       row.DisplayName,
		GivenName:         row.GivenName,
		Surname:           row.Surname,
		JobTitle:          row.JobTitle,
		CompanyName:       row.CompanyName,
		MailNickname:      row.MailNickname,
		Mail:              row.Mail,
		Type:              directory.UserType(row.UserType),
		CreationType:      row.CreationType,
		State:             directory.ExternalState(row.ExternalState),
		StateChanged:      moment(row.StateChangedAt),
		Enabled:           row.Enabled != 0,
		PreferredLanguage: row.PreferredLanguage,
		InvitedBy:         row.InvitedBy,
		PasswordHash:      row.PasswordHash,
		Created:           moment(row.CreatedAt),
		Deleted:           moment(row.DeletedAt),
		Generation:        int(row.Generation),
		Version:           row.Version,
	}
	var ids []identityJSON
	err := errors.Join(
		parse("users.other_mails", row.OtherMails, &u.OtherMails),
		parse("users.proxy_addresses", row.ProxyAddresses, &u.ProxyAddresses),
		parse("users.sponsors", row.Sponsors, &u.Sponsors),
		parse("users.identities", row.Identities, &ids),
	)
	for _, id := range ids {
		u.Identities = append(u.Identities, directory.Identity(id))
	}
	return u, err
}

func userRow(u directory.User, names names) insertUserParams {
	row := insertUserParams{
		Upn:               u.UPN,
		DisplayName:       u.DisplayName,
		GivenName:         u.GivenName,
		Surname:           u.Surname,
		JobTitle:          u.JobTitle,
		CompanyName:       u.CompanyName,
		MailNickname:      u.MailNickname,
		Mail:              u.Mail,
		OtherMails:        list(u.OtherMails),
		ProxyAddresses:    list(u.ProxyAddresses),
		UserType:          string(u.Type),
		CreationType:      u.CreationType,
		ExternalState:     string(u.State),
		StateChangedAt:    micros(u.StateChanged),
		Enabled:           flag(u.Enabled),
		PreferredLanguage: u.PreferredLanguage,
		Sponsors:          list(u.Sponsors),
		InvitedBy:         u.InvitedBy,
		PasswordHash:      u.PasswordHash,
		CreatedAt:         micros(u.Created),
		DeletedAt:         micros(u.Deleted),
		Generation:        int64(u.Generation),
		Live:              flag(u.Deleted.IsZero()),
		NameKey:           key(u.DisplayName),
		MailKey:           key(u.Mail),
		AddressKeys:       names.String(),
		Tenant:            string(u.Tenant),
		ID:                string(u.ID),
		Version:           u.Version,
	}
	if len(u.Identities) > 0 {
		ids := make([]identityJSON, len(u.Identities))
		for i, id := range u.Identities {
			ids[i] = identityJSON(id)
		}
		b, _ := json.Marshal(ids) // strings always marshal
		row.Identities = string(b)
	}
	return row
}

func newUser(u directory.User) step {
	names := namesOf(u)
	row := userRow(u, names)
	take := takeNames(u, names)
	return func(ctx context.Context, q *Queries) error {
		if err := q.insertUser(ctx, row); err != nil {
			return err
		}
		return take(ctx, q)
	}
}

func replaceUser(u directory.User) step {
	names := namesOf(u)
	row := updateUserParams(userRow(u, names))
	take := takeNames(u, names)
	return func(ctx context.Context, q *Queries) error {
		old, err := q.userLock(ctx, userLockParams{Tenant: row.Tenant, ID: row.ID})
		if errors.Is(err, sql.ErrNoRows) || err == nil && old.Version != row.Version {
			return changed(0, nil, "user", row.ID)
		}
		if err != nil {
			return err
		}
		n, err := q.updateUser(ctx, row)
		if err = changed(n, err, "user", row.ID); err != nil {
			return err
		}
		if old.AddressKeys == row.AddressKeys && old.Live == row.Live {
			return nil
		}
		if err := dropNames(ctx, q, row.Tenant, row.ID, old); err != nil {
			return err
		}
		return take(ctx, q)
	}
}

// purge removes a user and all that hangs on them, what refers first. The
// audit log stays: it is the record that they existed.
func purge(t directory.TenantID, id directory.UserID) step {
	tenant, user := string(t), string(id)
	return func(ctx context.Context, q *Queries) error {
		old, err := q.userLock(ctx, userLockParams{Tenant: tenant, ID: user})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := dropNames(ctx, q, tenant, user, old); err != nil {
			return err
		}
		for _, remove := range []func() error{
			func() error { return q.deleteBodies(ctx, deleteBodiesParams{tenant, user}) },
			func() error { return q.deleteAttempts(ctx, deleteAttemptsParams{tenant, user}) },
			func() error { return q.deleteDeliveries(ctx, deleteDeliveriesParams{tenant, user}) },
			func() error { return q.deleteViews(ctx, deleteViewsParams{tenant, user}) },
			func() error { return q.deleteInvitations(ctx, deleteInvitationsParams{tenant, user}) },
			func() error { return q.deleteMemberships(ctx, deleteMembershipsParams{tenant, user}) },
			func() error { return q.deleteRoles(ctx, deleteRolesParams{tenant, user}) },
			func() error { return q.deleteAppAssignments(ctx, deleteAppAssignmentsParams{tenant, user}) },
			func() error { return q.deleteUser(ctx, deleteUserParams{tenant, user}) },
		} {
			if err := remove(); err != nil {
				return err
			}
		}
		return nil
	}
}
