package invite

import (
	"context"
	"errors"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Options configures a [Service].
type Options struct {
	Store   Store   // required
	Tickets Tickets // required
	Letters Letters // required

	// OptOuts signs and verifies the links to block further invitations, for
	// a purpose of their own. Nil: mails have no such link.
	OptOuts Tickets

	// CodeKey authenticates stored passcodes; 32 random bytes that every
	// node shares. Nil: no code can be mailed.
	CodeKey []byte

	// FailedLinks is how many links that do not verify a network may try in
	// a minute. 0 means DefaultFailedLinks.
	FailedLinks int

	// Mailboxes answers where delivered mail was filed. Nil: nobody knows.
	Mailboxes Mailboxes

	// RedeemURL returns the absolute URL that carries a ticket. Required.
	RedeemURL func(tenant directory.TenantID, id ID, ticket string) string

	Now   func() time.Time // required
	NewID func() string    // required; UUIDv7
	// NewCode returns the digits of a passcode. Nil: random ones.
	NewCode func() string
	Wake    func() // called after mail was queued; nil is fine
	Mode    Mode
}

// Mode says what kind of server this is.
type Mode struct {
	// Emulator: mail goes to the built-in sink. Then sign-in at a home
	// organisation may be simulated, and addresses may carry a "+", which
	// the sink routes on.
	Emulator bool

	// Recipients says whether mail may go to an address. Nil: to any.
	Recipients func(mail.Address) bool

	// MailsPerDay caps the mails of each tenant in 24 hours, whatever its
	// policy says. 0: the policy alone decides.
	MailsPerDay int
}

// Service is the life of invitations. It is safe for concurrent use.
type Service struct {
	store   Store
	tickets Tickets
	letters Letters
	boxes   Mailboxes
	url     func(directory.TenantID, ID, string) string
	clock   func() time.Time
	newID   func() string
	wake    func()
	mode    Mode

	optOuts     Tickets
	codeKey     []byte
	newCode     func() string
	failedLinks int
	failed      failures

	views  viewBuffer
	wanted chan wantedLink // requests for new links, handled by Run
}

// New returns a service, or an error that names the option at fault.
func New(o Options) (*Service, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("invite: Options.Store is nil")
	case o.Tickets == nil:
		return nil, errors.New("invite: Options.Tickets is nil")
	case o.Letters == nil:
		return nil, errors.New("invite: Options.Letters is nil")
	case o.RedeemURL == nil:
		return nil, errors.New("invite: Options.RedeemURL is nil")
	case o.Now == nil:
		return nil, errors.New("invite: Options.Now is nil")
	case o.NewID == nil:
		return nil, errors.New("invite: Options.NewID is nil")
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.NewCode == nil {
		o.NewCode = randomCode
	}
	if o.FailedLinks == 0 {
		o.FailedLinks = DefaultFailedLinks
	}
	return &Service{
		store: o.Store, tickets: o.Tickets, letters: o.Letters, boxes: o.Mailboxes, url: o.RedeemURL,
		clock: o.Now, newID: o.NewID, wake: o.Wake, mode: o.Mode,
		optOuts: o.OptOuts, codeKey: o.CodeKey, newCode: o.NewCode, failedLinks: o.FailedLinks,
		wanted: make(chan wantedLink, maxWanted),
	}, nil
}

// now returns the time as rows keep it: UTC, whole milliseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// maxTries is how often an operation decides anew on a stale snapshot.
const maxTries = 5

// apply decides by plan and hands the result to the store until it is not
// stale. A plan without a change means there is nothing to do. The letters and
// tickets of a change are made by plan, outside the store's transaction: the
// one writer never waits for a template or a signature.
func (s *Service) apply(ctx context.Context, op string, plan func(try int) (*Change, error)) error {
	for try := range maxTries {
		c, err := plan(try)
		if err != nil {
			return err
		}
		if c == nil {
			return nil
		}
		switch err := s.store.ApplyInvitation(ctx, *c); {
		case err == nil:
			if len(c.Mail) > 0 {
				s.wake()
			}
			return nil
		case !errors.Is(err, directory.ErrStale):
			return storeProblem(op, err)
		}
	}
	return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second,
		Detail: "The guest was changed by others at the same time, again and again. Try once more."}
}

// A scene is what every operation looks at first.
type scene struct {
	tenant directory.Tenant
	policy directory.Policy
	now    time.Time
}

// scene reads the tenant and its policy.
func (s *Service) scene(ctx context.Context, op string, t directory.TenantID) (scene, error) {
	tenant, err := s.store.Tenant(ctx, t)
	if err != nil {
		return scene{}, storeProblem(op, err)
	}
	policy, err := s.store.Policy(ctx, t)
	if err != nil {
		return scene{}, storeProblem(op, err)
	}
	return scene{tenant: tenant, policy: policy, now: s.now()}, nil
}

// authorizedScene reads the scene and refuses an actor who may not do a.
func (s *Service) authorizedScene(ctx context.Context, op string, actor directory.Actor, a directory.Action) (scene, error) {
	sc, err := s.scene(ctx, op, actor.Tenant)
	if err != nil {
		return scene{}, err
	}
	if err := actor.Authorize(a, sc.policy); err != nil {
		return scene{}, err
	}
	return sc, nil
}

// issue gives inv a fresh ticket in the guest's generation and lifetime of the
// policy, and returns the URL to redeem it at.
func (s *Service) issue(op string, sc scene, guest directory.User, inv *Invitation) (string, error) {
	inv.JTI = s.newID()
	inv.Generation = guest.Generation
	inv.Expires = time.Time{}
	if sc.policy.LinkLifetime > 0 {
		inv.Expires = sc.now.Add(sc.policy.LinkLifetime).Truncate(time.Second) // a ticket's times are whole seconds
	}
	ticket, err := s.tickets.Issue(Claims{
		Tenant: inv.Tenant, User: guest.ID, Invitation: inv.ID, Generation: inv.Generation,
		JTI: inv.JTI, Issued: sc.now, Expires: inv.Expires,
	})
	if err != nil {
		return "", &problem.Error{Op: op, Kind: problem.Internal, Detail: "The link could not be signed.", Err: err}
	}
	return s.url(inv.Tenant, inv.ID, ticket), nil
}

// A posting is a letter about to be written.
type posting struct {
	scene     scene
	change    *Change // gets the letter
	guest     directory.User
	inv       *Invitation
	redeemURL string
	sender    string // id that the limits count against
	audit     scribe
}

// write adds the next letter of the invitation to the change, and the copy for
// whoever is to be informed. If the guest has blocked invitations, or the
// address is suppressed, only the record of a letter is added, and the audit
// event that says so.
func (s *Service) write(ctx context.Context, op string, p posting) error {
	held, err := s.heldBack(ctx, op, p)
	if err != nil {
		return err
	}
	p.inv.Sends++
	data := LetterData{Tenant: p.scene.tenant, Guest: p.guest, Invitation: *p.inv, RedeemURL: p.redeemURL, Send: p.inv.Sends, Mail: s.newID(), Now: p.scene.now}
	add := func(k LetterKind, m mail.Message) {
		p.change.Mail = append(p.change.Mail, Letter{
			ID: data.Mail, Invitation: p.inv.ID, User: p.guest.ID, Inviter: p.sender, Kind: k,
			Message: m, LimitKey: m.To.LimitKey(), Queued: p.scene.now, Suppressed: held != nil,
		})
	}
	m, err := s.letters.Invitation(ctx, data)
	if err != nil {
		return letterProblem(op, err)
	}
	if held != nil {
		m.Raw = nil
		add(LetterInvitation, m)
		p.change.Audit = append(p.change.Audit, *held)
		return nil
	}
	p.inv.Sent = p.scene.now
	add(LetterInvitation, m)
	data.Mail = s.newID()
	switch m, wanted, err := s.letters.Copy(ctx, data); {
	case err != nil:
		return letterProblem(op, err)
	case wanted && s.mode.reaches(m.To):
		entry, err := s.suppression(ctx, p.inv.Tenant, m.To, p.scene.now)
		if err != nil {
			return storeProblem(op, err)
		}
		if entry.Key == "" {
			add(LetterCopy, m)
		}
	}
	return nil
}

// heldBack returns the audit event that says why the guest is not mailed; nil
// if nothing speaks against it.
func (s *Service) heldBack(ctx context.Context, op string, p posting) (*audit.Event, error) {
	since, err := s.blockedSince(ctx, p.inv.Tenant, p.inv.Email)
	if err != nil {
		return nil, storeProblem(op, err)
	}
	if !since.IsZero() {
		e := p.audit.event(audit.EmailNotSent, p.guest, *p.inv, map[string]string{"blocked": stamp(since)})
		return &e, nil
	}
	entry, err := s.suppression(ctx, p.inv.Tenant, p.inv.Email, p.scene.now)
	if err != nil {
		return nil, storeProblem(op, err)
	}
	if entry.Key == "" {
		return nil, nil
	}
	e := p.audit.event(audit.EmailSuppressed, p.guest, *p.inv, entry.evidence())
	return &e, nil
}

// letterProblem passes on what the caller can mend; the rest is our fault.
func letterProblem(op string, err error) error {
	if p := problem.Of(err); p.Kind != problem.Internal {
		return err
	}
	return &problem.Error{Op: op, Kind: problem.Internal, Detail: "The mail could not be written.", Err: err}
}

// A scribe writes the audit events of one operation.
type scribe struct {
	service     *Service
	tenant      directory.TenantID
	now         time.Time
	actor       string
	actorName   string
	correlation string
}

// scribeFor returns the scribe for what an actor does.
func (s *Service) scribeFor(actor directory.Actor, now time.Time) scribe {
	w := scribe{service: s, tenant: actor.Tenant, now: now, actor: actor.ID, actorName: actor.Name, correlation: actor.Correlation}
	if w.correlation == "" {
		w.correlation = s.newID()
	}
	return w
}

// scribeForGuest returns the scribe for what guests do themselves.
func (s *Service) scribeForGuest(t directory.TenantID, a mail.Address, now time.Time) scribe {
	return scribe{service: s, tenant: t, now: now, actor: "guest", actorName: a.String(), correlation: s.newID()}
}

// event returns one event about a guest.
func (w scribe) event(a audit.Activity, guest directory.User, inv Invitation, details map[string]string) audit.Event {
	name := guest.Mail
	if !inv.Email.IsZero() {
		name = inv.Email.String()
	}
	return audit.Event{
		ID: w.service.newID(), Tenant: string(w.tenant), At: w.now, Activity: a, Result: audit.Success,
		Actor: w.actor, ActorName: w.actorName, Target: string(guest.ID), TargetName: name,
		Invitation: string(inv.ID), Correlation: w.correlation, Details: details,
	}
}

// storeProblem translates what a store answers.
func storeProblem(op string, err error) error {
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return notFound(op, "There is no such guest or invitation in this organisation.")
	case errors.Is(err, directory.ErrFull):
		return &problem.Error{Op: op, Kind: problem.Full, Reason: problem.StorageFull, Detail: "There is no space left to store this. Free some and try again.", Err: err}
	case errors.Is(err, directory.ErrBusy):
		return &problem.Error{Op: op, Kind: problem.Unavailable, Reason: problem.Busy, RetryAfter: time.Second, Detail: "The store is busy. Try again in a moment.", Err: err}
	default:
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: err}
	}
}

// notFound returns a NotFound problem.
func notFound(op, detail string) error {
	return &problem.Error{Op: op, Kind: problem.NotFound, Reason: problem.Missing, Detail: detail}
}
