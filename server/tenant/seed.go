package tenant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/alexedwards/argon2id"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// SeedOptions fixes what [Service.Seed] would otherwise draw at random.
type SeedOptions struct {
	Password     string            // of every account; empty: a random one each
	ClientSecret string            // of the application; empty: random
	Limits       *directory.Limits // nil means directory.EmulatorLimits
	// Keep stores the credentials before seeding counts as done, so that no
	// crash leaves accounts whose passwords nobody knows. Nil: the caller has
	// only the result.
	Keep func(Credentials) error
}

// Credentials is what a new tenant can be used with. Passwords and secret are
// known only here: the store keeps hashes.
type Credentials struct {
	New          bool // made by this call; otherwise only Tenant is set
	Tenant       directory.TenantID
	ClientID     string
	ClientSecret string
	Accounts     []Account
}

// Account is a person's credentials.
type Account struct {
	UPN      string
	Password string
	Roles    []string // display names
}

// The domains of the seeded tenant.
const (
	seedDomain  = "contoso.example"
	seedInitial = "contoso.onmicrosoft.example"
)

// seedAccounts are the people of the seeded tenant: one for each way to be
// allowed, or not allowed, to invite.
var seedAccounts = []struct {
	local, name string
	role        directory.RoleID // empty: none
}{
	{"admin", "Contoso Admin", directory.GlobalAdministrator},
	{"useradmin", "Contoso User Admin", directory.UserAdministrator},
	{"inviter", "Contoso Inviter", directory.GuestInviter},
	{"member", "Contoso Member", ""},
}

// seedPermissions are those of the seeded application.
var seedPermissions = []string{directory.PermInvite, directory.PermUserWrite, directory.PermGroupWrite, directory.PermDirectory}

// Seed makes the tenant Contoso with four accounts, the groups Partners and
// Projects, the app Expenses and an application, if the store has no tenant
// with accounts yet. A tenant that is there is left alone. Seeding that was
// cut short is taken up again by the next call, with new credentials.
func (s *Service) Seed(ctx context.Context, o SeedOptions) (Credentials, error) {
	const op = "tenant.Seed"
	t, done, err := s.seeded(ctx, op)
	if err != nil || done {
		return Credentials{Tenant: t.ID}, err
	}
	now := s.now()
	if t.ID == "" {
		t = directory.Tenant{
			ID: directory.TenantID(s.newID()), DisplayName: "Contoso", PrimaryDomain: seedDomain, InitialDomain: seedInitial,
			Domains: []string{seedDomain, seedInitial}, Language: "en-US", Created: now,
		}
		if err := s.store.CreateTenant(ctx, t, seedPolicy(t.ID, o)); err != nil {
			return Credentials{}, storeProblem(op, "", err)
		}
	}
	out := Credentials{New: true, Tenant: t.ID, ClientSecret: o.ClientSecret}
	if out.ClientSecret == "" {
		out.ClientSecret = s.newSecret()
	}
	application := s.seedApplication(t, out.ClientSecret, now)
	out.ClientID = application.ClientID
	if err := s.store.CreateApplication(ctx, application); err != nil {
		return Credentials{}, storeProblem(op, "", err)
	}
	// The accounts come last: they say that seeding is done.
	c, err := s.seedDirectory(t, o, now, &out)
	if err != nil {
		return Credentials{}, err
	}
	if o.Keep != nil {
		if err := o.Keep(out); err != nil {
			return Credentials{}, &problem.Error{Op: op, Kind: problem.Full, Reason: problem.StorageFull, Detail: "The credentials of the new tenant could not be kept.", Err: err}
		}
	}
	if err := s.store.ApplyDirectory(ctx, c); err != nil {
		return Credentials{}, storeProblem(op, "", err)
	}
	return out, nil
}

// seeded returns the first tenant, if there is one, and whether it has
// accounts.
func (s *Service) seeded(ctx context.Context, op string) (t directory.Tenant, done bool, err error) {
	tenants, err := s.store.Tenants(ctx, "", 1)
	if err != nil || len(tenants) == 0 {
		return t, false, storeProblem(op, "", err)
	}
	users, err := s.store.ListUsers(ctx, tenants[0].ID, UserQuery{Limit: 1})
	return tenants[0], len(users) > 0, storeProblem(op, "", err)
}

// seedPolicy is the default policy with the limits of the options.
func seedPolicy(t directory.TenantID, o SeedOptions) directory.Policy {
	p := directory.DefaultPolicy(t)
	p.Limits = directory.EmulatorLimits
	if o.Limits != nil {
		p.Limits = *o.Limits
	}
	return p
}

// seedApplication is the client application of a new tenant.
func (s *Service) seedApplication(t directory.Tenant, secret string, now time.Time) directory.Application {
	sum := sha256.Sum256([]byte(secret))
	return directory.Application{
		Tenant: t.ID, ID: s.newID(), ClientID: s.newID(), DisplayName: "Contoso Automation",
		SecretHash: hex.EncodeToString(sum[:]), Permissions: seedPermissions, Created: now,
	}
}

// seedDirectory is everything else of a new tenant, as one change.
func (s *Service) seedDirectory(t directory.Tenant, o SeedOptions, now time.Time, out *Credentials) (directory.Change, error) {
	actor := directory.Actor{Tenant: t.ID, ID: "invited", Name: "invited", Correlation: s.newID()}
	c := directory.Change{
		Tenant: t.ID,
		NewGroups: []directory.Group{
			{Tenant: t.ID, ID: directory.GroupID(s.newID()), DisplayName: "Partners", MailNickname: "partners", Description: "People of partner organisations", Created: now},
			{Tenant: t.ID, ID: directory.GroupID(s.newID()), DisplayName: "Projects", MailNickname: "projects", Description: "People who work on shared projects", Created: now},
		},
		NewApps: []directory.App{
			{Tenant: t.ID, ID: directory.AppID(s.newID()), AppID: s.newID(), DisplayName: "Expenses", Homepage: "https://expenses." + seedDomain + "/", Created: now},
		},
	}
	hash := s.seedHasher(o)
	for _, a := range seedAccounts {
		password, hashed, err := hash()
		if err != nil {
			return c, &problem.Error{Op: "tenant.Seed", Kind: problem.Internal, Detail: "A password could not be hashed.", Err: err}
		}
		upn := a.local + "@" + t.PrimaryDomain
		u := directory.User{
			Tenant: t.ID, ID: directory.UserID(s.newID()), UPN: upn, DisplayName: a.name, MailNickname: a.local, Mail: upn,
			ProxyAddresses: []string{"SMTP:" + upn}, Type: directory.Member, Enabled: true, PasswordHash: hashed, Created: now, Generation: 1,
			Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: t.InitialDomain, IssuerAssignedID: upn}},
		}
		c.NewUsers = append(c.NewUsers, u)
		c.Audit = append(c.Audit, s.event(actor, audit.AddUser, u, nil))
		account := Account{UPN: upn, Password: password}
		if role, ok := directory.RoleByName(string(a.role)); ok {
			account.Roles = []string{role.DisplayName}
			c.AddRoles = append(c.AddRoles, directory.RoleAssignment{Role: role.ID, User: u.ID})
			c.Audit = append(c.Audit, s.event(actor, audit.AddRoleMember, u, map[string]string{"roleName": role.DisplayName}))
		}
		out.Accounts = append(out.Accounts, account)
	}
	return c, nil
}

// Costs of argon2id. A password that a person chose is hashed at full cost. A
// password we drew has 128 random bits: no cost makes guessing it any less
// hopeless, so it does not hold up the first start.
var (
	chosenCost = argon2id.Params{Memory: 46 << 10, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	drawnCost  = argon2id.Params{Memory: 1 << 10, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
)

// seedHasher returns a function that returns the next account's password and
// its hash. Accounts that share the operator's password share its hash: one of
// them tells the others anyway.
func (s *Service) seedHasher(o SeedOptions) func() (password, hash string, err error) {
	if o.Password == "" {
		return func() (string, string, error) {
			password := s.newSecret()
			hash, err := argon2id.CreateHash(password, &drawnCost)
			return password, hash, err
		}
	}
	hash, err := argon2id.CreateHash(o.Password, &chosenCost)
	return func() (string, string, error) { return o.Password, hash, err }
}
