// Package session says who is calling: client credentials and local
// credentials for programs, sealed cookies for guests in the middle of
// redeeming.
//
// It turns a credential into a [directory.Actor] or refuses it. What the actor
// may do is decided elsewhere.
//
//	client id + secret ──ClientCredentials──┐
//	local credential + UPN ──MintFor────────┴─▶ access token ──Authenticate──▶ Actor
//	local credential ──────────────────────────────────────────Authenticate──▶ Actor
//	Guest ──SealCookie──▶ cookie ──OpenCookie──▶ Guest
//
// Roles, permissions and whether an account is enabled are read at every call,
// not taken from the token: what an administrator takes away is gone at once.
package session

import (
	"context"
	"crypto/cipher"
	"errors"
	"time"

	"invited/server/directory"
	"invited/server/problem"
	"invited/tokens"
)

// TokenLifetime is how long an access token is good for.
const TokenLifetime = time.Hour

// LocalName is the application that the local credential stands for. It has
// every permission and no row in the directory.
const LocalName = "Invited CLI"

// localClient is the client id of [LocalName] in access tokens.
const localClient = "invited-cli"

// AccessTokens signs and verifies access tokens. Implemented by
// [tokens.AccessIssuer].
type AccessTokens interface {
	Issue(tokens.AccessClaims) (string, error)
	Verify(token string) (tokens.AccessClaims, error)
}

// Options configures a [Service].
type Options struct {
	Store  Store        // required
	Access AccessTokens // required

	CookieKey     []byte   // required, 32 bytes; seals cookies
	OldCookieKeys [][]byte // 32 bytes each; only open cookies

	// LocalSecretHash is the SHA-256 of the local credential, which whoever
	// can read the data directory has. Nil: there is none.
	LocalSecretHash []byte
	LocalTenant     directory.TenantID // required with LocalSecretHash
	// LocalUPN is the person whom the local credential stands for while they
	// may sign in, so that what is done at the command line has a name and an
	// address to answer to. Empty, or nobody's: it stands for [LocalName].
	LocalUPN string

	Now   func() time.Time // required
	NewID func() string    // required; UUIDv7
}

// Service turns credentials into actors. It is safe for concurrent use.
type Service struct {
	store     Store
	access    AccessTokens
	seals     []seal // the first seals, all open
	localHash []byte
	local     directory.TenantID
	localUPN  string
	now       func() time.Time
	newID     func() string
}

// A seal is a cookie key ready for use.
type seal struct {
	id   [sealIDSize]byte
	aead cipher.AEAD
}

// New returns a service, or an error that names the option at fault.
func New(o Options) (*Service, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("session: Options.Store is nil")
	case o.Access == nil:
		return nil, errors.New("session: Options.Access is nil")
	case o.Now == nil:
		return nil, errors.New("session: Options.Now is nil")
	case o.NewID == nil:
		return nil, errors.New("session: Options.NewID is nil")
	case o.LocalSecretHash != nil && len(o.LocalSecretHash) != 32:
		return nil, errors.New("session: Options.LocalSecretHash is not a SHA-256")
	case o.LocalSecretHash != nil && o.LocalTenant == "":
		return nil, errors.New("session: Options.LocalTenant is empty")
	}
	s := &Service{store: o.Store, access: o.Access, localHash: o.LocalSecretHash, local: o.LocalTenant, localUPN: o.LocalUPN, now: o.Now, newID: o.NewID}
	for i, key := range append([][]byte{o.CookieKey}, o.OldCookieKeys...) {
		k, err := newSeal(key)
		if err != nil {
			if i == 0 {
				return nil, errors.New("session: Options.CookieKey is not 32 bytes")
			}
			return nil, errors.New("session: Options.OldCookieKeys has a key that is not 32 bytes")
		}
		s.seals = append(s.seals, k)
	}
	return s, nil
}

// Authenticate returns who holds a bearer token: an access token of ours, or
// the local credential.
func (s *Service) Authenticate(ctx context.Context, bearer string) (directory.Actor, error) {
	const op = "session.Authenticate"
	if s.IsLocal(bearer) {
		return s.localPerson(ctx, op)
	}
	c, err := s.access.Verify(bearer)
	switch {
	case err != nil:
		detail := "The access token does not verify. Get one from the token endpoint of this server."
		if errors.Is(err, tokens.ErrExpired) {
			detail = "The access token has expired. Get a new one from the token endpoint."
		}
		return directory.Actor{}, unauthenticated(op, detail, err)
	case c.AppID == localClient && c.UPN == "":
		return s.localActor(), nil
	case c.UPN != "":
		return s.person(ctx, op, c)
	default:
		return s.program(ctx, op, c)
	}
}

// person returns the actor of a person's token.
func (s *Service) person(ctx context.Context, op string, c tokens.AccessClaims) (directory.Actor, error) {
	t := directory.TenantID(c.Tenant)
	u, err := s.store.User(ctx, t, directory.UserID(c.Subject))
	if err != nil {
		return directory.Actor{}, storeProblem(op, "The person this access token was made for is not in the directory any more.", err)
	}
	if err := maySignIn(op, u); err != nil {
		return directory.Actor{}, err
	}
	return s.personActor(ctx, op, u, c.Scopes)
}

// personActor is a person with their roles as they are now.
func (s *Service) personActor(ctx context.Context, op string, u directory.User, scopes []string) (directory.Actor, error) {
	roles, err := s.store.UserRoles(ctx, u.Tenant, u.ID)
	if err != nil {
		return directory.Actor{}, storeProblem(op, "", err)
	}
	return directory.Actor{
		Tenant: u.Tenant, ID: string(u.ID), Name: u.UPN, DisplayName: u.DisplayName, Mail: u.Mail,
		Guest: u.Type == directory.Guest, Roles: roles, Permissions: scopes,
	}, nil
}

// localPerson is whom the local credential stands for.
func (s *Service) localPerson(ctx context.Context, op string) (directory.Actor, error) {
	if s.localUPN == "" {
		return s.localActor(), nil
	}
	u, err := s.store.UserByUPN(ctx, s.local, s.localUPN)
	switch {
	case errors.Is(err, directory.ErrNotFound), err == nil && maySignIn(op, u) != nil:
		return s.localActor(), nil
	case err != nil:
		return directory.Actor{}, storeProblem(op, "", err)
	default:
		return s.personActor(ctx, op, u, directory.AllPermissions())
	}
}

// program returns the actor of an application's token.
func (s *Service) program(ctx context.Context, op string, c tokens.AccessClaims) (directory.Actor, error) {
	a, err := s.store.Application(ctx, directory.TenantID(c.Tenant), c.AppID)
	if err != nil {
		return directory.Actor{}, storeProblem(op, "The application this access token was made for is not in the directory any more.", err)
	}
	return directory.Actor{
		Tenant: a.Tenant, Application: true, ID: a.ID, Name: a.DisplayName, Permissions: a.Permissions,
	}, nil
}

// localActor is the application of the local credential.
func (s *Service) localActor() directory.Actor {
	return directory.Actor{
		Tenant: s.local, Application: true, ID: localClient, Name: LocalName, Permissions: directory.AllPermissions(),
	}
}

// maySignIn refuses people who are deleted, disabled, or guests who have not
// redeemed their invitation.
func maySignIn(op string, u directory.User) error {
	switch {
	case !u.Deleted.IsZero():
		return refused(op, noUser, "The user is deleted.")
	case !u.Enabled:
		return refused(op, disabled, "The user account is disabled. An administrator can enable it.")
	case u.State == directory.Pending:
		return refused(op, pending, "The guest has not redeemed the invitation yet.")
	default:
		return nil
	}
}

// storeProblem translates what a store answers. missing is said of a row that
// is not there.
func storeProblem(op, missing string, err error) error {
	switch {
	case errors.Is(err, directory.ErrNotFound) && missing != "":
		return unauthenticated(op, missing, err)
	case errors.Is(err, directory.ErrBusy):
		return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second, Detail: "The store is busy. Try again in a moment.", Err: err}
	default:
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: err}
	}
}

// unauthenticated returns an Unauthenticated problem.
func unauthenticated(op, detail string, err error) error {
	return &problem.Error{Op: op, Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Detail: detail, Err: err}
}
