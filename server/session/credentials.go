package session

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"invited/server/directory"
	"invited/server/problem"
	"invited/tokens"
)

// Refusal is why no token was given, in the words of OAuth and with the number
// that clients of the Microsoft identity platform look for. It is the cause
// (Err) of the problem. Source: RFC 6749 §5.2; Microsoft's reference of AADSTS
// error codes.
type Refusal struct {
	OAuth string // such as "invalid_client"
	Code  int    // such as 7000215
}

// Error returns both.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: AADSTS%d", r.OAuth, r.Code) }

// The refusals.
var (
	badSecret = &Refusal{"invalid_client", 7000215}
	noClient  = &Refusal{"unauthorized_client", 700016}
	noUser    = &Refusal{"invalid_grant", 50034}
	disabled  = &Refusal{"invalid_grant", 50057}
	pending   = &Refusal{"invalid_grant", 50014}
)

// refused returns the Unauthenticated problem of a refusal. The number stands
// in front of the sentence, where people search for it.
func refused(op string, r *Refusal, detail string) error {
	return unauthenticated(op, fmt.Sprintf("AADSTS%d: %s", r.Code, detail), r)
}

// ClientCredentials exchanges an application's secret for an access token and
// its lifetime. issuer is the token's "iss", made from the origin that was
// asked. Source: RFC 6749 §4.4.
func (s *Service) ClientCredentials(ctx context.Context, tenant directory.TenantID, clientID, secret, issuer string) (string, time.Duration, error) {
	const op = "session.ClientCredentials"
	app, err := s.store.Application(ctx, tenant, clientID)
	unknown := errors.Is(err, directory.ErrNotFound)
	if err != nil && !unknown {
		return "", 0, storeProblem(op, "", err)
	}
	// An unknown client takes as long as a wrong secret.
	sum := sha256.Sum256([]byte(secret))
	good := subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(app.SecretHash)) == 1
	switch {
	case unknown:
		return "", 0, refused(op, noClient, "The application is not in this tenant. Check the client id and the tenant.")
	case !good:
		return "", 0, refused(op, badSecret, "Invalid client secret provided. Send the secret itself, not its id.")
	}
	return s.sign(op, tokens.AccessClaims{
		Tenant: string(tenant), Subject: app.ID, AppID: app.ClientID, AppName: app.DisplayName, Roles: app.Permissions, Issuer: issuer,
	})
}

// MintFor returns an access token for a person, or for the local application
// if upn is empty. It asks for no password: the caller has checked that the
// request carries the local credential ([Service.IsLocal]).
func (s *Service) MintFor(ctx context.Context, tenant directory.TenantID, upn, issuer string) (string, time.Duration, error) {
	const op = "session.MintFor"
	if upn == "" {
		return s.sign(op, tokens.AccessClaims{
			Tenant: string(tenant), Subject: localClient, AppID: localClient, AppName: LocalName, Roles: directory.AllPermissions(), Issuer: issuer,
		})
	}
	u, err := s.store.UserByUPN(ctx, tenant, upn)
	if errors.Is(err, directory.ErrNotFound) {
		return "", 0, &problem.Error{Op: op, Kind: problem.NotFound, Reason: problem.Missing, Field: "as",
			Detail: fmt.Sprintf("There is no user with the userPrincipalName %q in this tenant.", upn), Err: err}
	}
	if err != nil {
		return "", 0, storeProblem(op, "", err)
	}
	if err := maySignIn(op, u); err != nil {
		return "", 0, err
	}
	return s.sign(op, tokens.AccessClaims{
		Tenant: string(tenant), Subject: string(u.ID), AppID: localClient, AppName: LocalName,
		UPN: u.UPN, Name: u.DisplayName, Scopes: directory.AllPermissions(), Issuer: issuer,
	})
}

// IsLocal reports whether bearer is the local credential.
func (s *Service) IsLocal(bearer string) bool {
	sum := sha256.Sum256([]byte(bearer))
	return s.localHash != nil && subtle.ConstantTimeCompare(sum[:], s.localHash) == 1
}

// sign completes and signs an access token.
func (s *Service) sign(op string, c tokens.AccessClaims) (string, time.Duration, error) {
	c.JTI = s.newID()
	c.Issued = s.now().UTC().Truncate(time.Second)
	c.Expires = c.Issued.Add(TokenLifetime)
	token, err := s.access.Issue(c)
	if err != nil {
		return "", 0, &problem.Error{Op: op, Kind: problem.Internal, Detail: "The access token could not be signed.", Err: err}
	}
	return token, TokenLifetime, nil
}
