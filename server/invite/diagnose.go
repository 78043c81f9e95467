package invite

import (
	"context"
	"slices"
	"strconv"
	"time"

	"invited/mail"
	"invited/server/directory"
	"invited/server/problem"
)

// Diagnosis says why a guest is not in, or that all is well.
type Diagnosis struct {
	User       directory.User
	Invitation Invitation
	State      State
	Reason     problem.Reason // of the first broken link; Complete if none is
	Steps      []Step         // the chain in order, up to the first broken link
}

// Step is one link of the chain from inviting to getting in.
type Step struct {
	Name     string // policy, address, queue, relay, bounce, folder, link, lifetime, home, consent or apps
	OK       bool
	Reason   problem.Reason    // set if the link is broken, and on the last step
	Evidence map[string]string // what was seen; never a token
	Hits     []Hit             // what the mailbox held against the mail, on the folder step
}

// Diagnose walks the chain from the policy to the guest's apps and stops at
// the first link that is broken. Mail that was not opened is not broken: the
// walk goes on, because a home organisation that will refuse the guest is the
// more useful finding. ref is as for Resend.
func (s *Service) Diagnose(ctx context.Context, actor directory.Actor, ref string) (Diagnosis, error) {
	const op = "invite.Diagnose"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations)
	if err != nil {
		return Diagnosis{}, err
	}
	f, err := s.find(ctx, op, actor.Tenant, ref)
	if err != nil {
		return Diagnosis{}, err
	}
	d, err := s.details(ctx, op, sc, f)
	if err != nil {
		return Diagnosis{}, err
	}
	e := examination{scene: sc, found: f, details: d, emulator: s.mode.Emulator}
	if e.signIn, err = s.signIn(ctx, op, sc, f.inv.Email); err != nil {
		return Diagnosis{}, err
	}
	if e.blocked, err = s.blockedSince(ctx, actor.Tenant, f.inv.Email); err != nil {
		return Diagnosis{}, storeProblem(op, err)
	}
	if e.suppressed, err = s.suppression(ctx, actor.Tenant, f.inv.Email, sc.now); err != nil {
		return Diagnosis{}, storeProblem(op, err)
	}
	if e.apps, err = s.store.UserApps(ctx, actor.Tenant, f.guest.ID); err != nil {
		return Diagnosis{}, storeProblem(op, err)
	}
	out := Diagnosis{User: f.guest, Invitation: f.inv, State: d.State}
	for _, link := range chain {
		step := link.look(e)
		step.Name = link.name
		step.OK = step.Reason == problem.NoReason || step.Reason == problem.Complete
		out.Steps = append(out.Steps, step)
		out.Reason = step.Reason
		if !step.OK {
			break
		}
	}
	return out, nil
}

// An examination is everything the links of the chain look at.
type examination struct {
	scene    scene
	found    found
	details  Details
	signIn   directory.Decision
	apps     []directory.App
	blocked  time.Time // when the guest blocked invitations; zero: not
	emulator bool

	suppressed Suppression // zero: the address is not suppressed
}

// chain is what has to hold for a guest to get in, in order. Each look returns
// a step whose Reason says what is broken.
var chain = []struct {
	name string
	look func(examination) Step
}{
	{"policy", examination.policy},
	{"address", examination.address},
	{"queue", examination.queue},
	{"relay", examination.relay},
	{"bounce", examination.bounce},
	{"folder", examination.folder},
	{"link", examination.link},
	{"lifetime", examination.lifetime},
	{"home", examination.home},
	{"consent", examination.consent},
	{"apps", examination.assigned},
}

// accepted reports whether the guest is in. Then mail and link are history.
func (e examination) accepted() bool { return e.details.State == StateAccepted }

// opened reports whether somebody, not something, opened the link: then the
// mail arrived, whatever is known of it.
func (e examination) opened() bool { return e.details.Views.Count > 0 }

// last returns the newest invitation mailed to the guest; false if none was
// queued. Copies for others and codes are not what the guest waits for.
func (e examination) last() (Delivery, bool) {
	for _, d := range slices.Backward(e.details.Deliveries) {
		if d.To == e.found.inv.Email && d.Kind != LetterCode {
			return d, true
		}
	}
	return Delivery{}, false
}

// policy looks at what the tenant decides of the guest.
func (e examination) policy() Step {
	step := Step{Evidence: map[string]string{"accountEnabled": strconv.FormatBool(e.found.guest.Enabled)}}
	switch {
	case !e.found.guest.Deleted.IsZero():
		step.Evidence["deleted"] = stamp(e.found.guest.Deleted)
		step.Reason = problem.GuestDeleted
	case !e.found.guest.Enabled:
		step.Reason = problem.AccountDisabled
	case !e.accepted() && directory.CheckDomain(e.scene.policy, e.found.inv.Email.Domain) != nil:
		step.Evidence["domain"] = e.found.inv.Email.Domain
		step.Reason = problem.DomainBlocked
	}
	return step
}

// address looks at the invited address.
func (e examination) address() Step {
	step := Step{Evidence: map[string]string{"address": e.found.inv.Email.String()}}
	if err := e.found.inv.Email.Invitable(e.emulator); err != nil {
		step.Evidence["rule"] = err.Error()
		step.Reason = problem.BadAddress
	}
	for _, w := range e.found.inv.Email.Warnings() {
		step.Evidence["warning"] = string(w)
	}
	return step
}

// queue looks at whether a mail was asked for and has left.
func (e examination) queue() Step {
	d, any := e.last()
	if !any {
		step := Step{Evidence: map[string]string{"mails": "0"}}
		if !e.accepted() && !e.opened() && e.found.inv.Revoked.IsZero() {
			step.Reason = problem.MailNotRequested
		}
		return step
	}
	step := Step{Evidence: map[string]string{
		"mails": strconv.Itoa(len(e.details.Deliveries)), "delivery": string(d.State), "queued": stamp(d.Queued), "messageId": d.MessageID,
	}}
	if e.waits(d) && d.Attempts == 0 {
		step.Reason = problem.MailQueued
	}
	return step
}

// waits reports whether the guest waits for a mail that is still on its way.
// One that a mailbox has filed is not, even if its relay's answer has yet to
// be recorded.
func (e examination) waits(d Delivery) bool {
	return !d.State.Final() && d.Filing == nil && !e.accepted() && !e.opened()
}

// relay looks at what the relay said last.
func (e examination) relay() Step {
	d, any := e.last()
	if !any || d.Attempts == 0 {
		return Step{}
	}
	step := Step{Evidence: map[string]string{
		"attempt": strconv.Itoa(d.Attempts), "relay": d.Last.Relay, "stage": string(d.Last.Stage),
		"code": strconv.Itoa(d.Last.Code), "text": d.Last.Text, "at": stamp(d.Last.At),
	}}
	switch {
	case e.waits(d):
		step.Evidence["next"] = stamp(d.Next)
		step.Reason = problem.MailDeferred
		if d.State != mail.Deferred {
			step.Reason = problem.MailQueued
		}
	case d.State == mail.Failed && !e.accepted() && !e.opened():
		step.Reason = problem.MailFailed
	}
	return step
}

// bounce looks at whether the mail came back or was held back.
func (e examination) bounce() Step {
	d, any := e.last()
	if !any || e.accepted() || e.opened() {
		return Step{}
	}
	step := Step{Evidence: map[string]string{"delivery": string(d.State)}}
	if e.suppressed.Key != "" {
		step.Evidence = e.suppressed.evidence()
		step.Evidence["delivery"] = string(d.State)
	}
	if d.State == mail.Bounced {
		step.Evidence["code"], step.Evidence["text"], step.Evidence["at"] = d.Last.Enhanced, d.Last.Text, stamp(d.Last.At)
	}
	if !e.blocked.IsZero() {
		step.Evidence["blocked"] = stamp(e.blocked)
	}
	switch {
	case d.State == mail.Bounced:
		step.Reason = problem.MailBounced
	case !e.blocked.IsZero():
		step.Reason = problem.RecipientBlocked
	case d.State == mail.Suppressed:
		step.Reason = problem.RecipientSuppressed
	}
	return step
}

// folder looks at where the mailbox put the mail.
func (e examination) folder() Step {
	d, any := e.last()
	if !any || d.Filing == nil {
		return Step{Evidence: map[string]string{"folder": "unknown"}}
	}
	step := Step{
		Evidence: map[string]string{
			"folder": d.Filing.Folder, "score": strconv.FormatFloat(d.Filing.Score, 'f', -1, 64), "message": d.Filing.ID, "at": stamp(d.Filing.At),
		},
		Hits: d.Filing.Hits,
	}
	if d.Filing.Folder == "Junk" && !e.accepted() && !e.opened() {
		step.Reason = problem.MailInJunk
	}
	return step
}

// link looks at who opened the link. It breaks nothing by itself.
func (e examination) link() Step {
	v := e.details.Views
	step := Step{Evidence: map[string]string{"opened": strconv.Itoa(v.Count), "automated": strconv.Itoa(v.Automated)}}
	if !v.Last.IsZero() {
		step.Evidence["first"], step.Evidence["last"] = stamp(v.First), stamp(v.Last)
	}
	return step
}

// lifetime looks at whether the link still works.
func (e examination) lifetime() Step {
	step := Step{Evidence: map[string]string{"generation": strconv.Itoa(e.found.inv.Generation)}}
	if !e.found.inv.Expires.IsZero() {
		step.Evidence["expires"] = stamp(e.found.inv.Expires)
	}
	switch e.details.State {
	case StateExpired:
		step.Reason = problem.LinkExpired
	case StateRevoked:
		step.Evidence["revoked"] = stamp(e.found.inv.Revoked)
		step.Reason = problem.LinkRevoked
	case StateReplaced:
		step.Reason = problem.LinkReplaced
	}
	return step
}

// home looks at who signs the guest in.
func (e examination) home() Step {
	step := Step{Reason: e.signIn.Reason, Evidence: map[string]string{"domain": e.found.inv.Email.Domain}}
	if e.signIn.Method != "" {
		step.Evidence["signIn"] = string(e.signIn.Method)
	}
	if h := e.signIn.Home; h != nil {
		step.Evidence["allowEmailVerifiedUsers"] = strconv.FormatBool(h.AllowEmailVerifiedUsers)
		step.Evidence["federated"] = strconv.FormatBool(h.Federated)
	}
	return step
}

// consent looks at whether the guest accepted.
func (e examination) consent() Step {
	step := Step{Evidence: map[string]string{"externalUserState": string(e.found.guest.State)}}
	switch {
	case e.accepted():
		step.Evidence["accepted"] = stamp(e.found.guest.StateChanged)
	case e.details.State == StateDeclined:
		step.Evidence["declined"] = stamp(e.found.inv.Declined)
		step.Reason = problem.Declined
	case e.opened():
		step.Reason = problem.LinkOpened
	default:
		step.Reason = problem.MailDelivered
	}
	return step
}

// assigned looks at what the guest finds inside.
func (e examination) assigned() Step {
	step := Step{Reason: problem.Complete, Evidence: map[string]string{"apps": strconv.Itoa(len(e.apps))}}
	if len(e.apps) == 0 {
		step.Reason = problem.NoApps
	}
	return step
}

// stamp returns a time for evidence.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
