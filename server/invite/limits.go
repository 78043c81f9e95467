package invite

import (
	"context"
	"fmt"
	"time"

	"invited/mail"
	"invited/server/problem"
)

// checkLimits refuses a mail that would break a sending limit. Limits exist so
// that nobody is bombed with mail through us; they count mails, not guests.
func (s *Service) checkLimits(ctx context.Context, op string, sc scene, to mail.Address, inviter string) error {
	if err := s.mode.checkRecipient(op, "invitedUserEmailAddress", to); err != nil {
		return err
	}
	l := sc.policy.Limits
	l.TenantPerDay = s.mode.perDay(l.TenantPerDay)
	c, err := s.store.MailCounts(ctx, sc.tenant.ID, CountQuery{
		LimitKey: to.LimitKey(), Domain: to.Domain, Inviter: inviter, Now: sc.now, Limits: l,
	})
	if err != nil {
		return storeProblem(op, err)
	}
	// The wait for a recipient is known; for the others it is the time after
	// which a part of the window has surely passed.
	windows := []struct {
		who    string
		count  int
		limit  int
		window time.Duration
		wait   time.Duration
	}{
		{"this mailbox", c.RecipientDay, l.RecipientPerDay, 24 * time.Hour, untilFree(c.Oldest, 24*time.Hour, sc.now)},
		{"this mailbox", c.Recipient5Min, l.RecipientPer5Min, 5 * time.Minute, untilFree(c.Oldest, 5*time.Minute, sc.now)},
		{"the domain " + to.Domain, c.DomainHour, l.DomainPerHour, time.Hour, 10 * time.Minute},
		{"this inviter", c.InviterDay, l.InviterPerDay, 24 * time.Hour, time.Hour},
		{"this inviter", c.InviterMinute, l.InviterPerMinute, time.Minute, time.Minute},
		{"this organisation", c.TenantDay, l.TenantPerDay, 24 * time.Hour, time.Hour},
	}
	for _, w := range windows {
		if w.limit == 0 || w.count < w.limit {
			continue
		}
		return &problem.Error{Op: op, Kind: problem.TooMany, Reason: problem.RateLimited, RetryAfter: w.wait,
			Detail: fmt.Sprintf("No more than %d mails in %s go out for %s. Try again in %s.", w.limit, inWords(w.window), w.who, inWords(w.wait))}
	}
	return nil
}

// reaches reports whether mail may go to an address.
func (m Mode) reaches(a mail.Address) bool { return m.Recipients == nil || m.Recipients(a) }

// checkRecipient refuses an address that this server mails nothing to.
func (m Mode) checkRecipient(op, field string, a mail.Address) error {
	if m.reaches(a) {
		return nil
	}
	return &problem.Error{Op: op, Kind: problem.Denied, Reason: problem.DomainBlocked, Field: field,
		Detail: fmt.Sprintf("This server sends no mail to %s. Whoever runs it can allow more recipients with --relay-recipients; an invitation without mail can be made now.", a.Domain)}
}

// perDay returns the stricter of the cap and a limit, of which 0 is none.
func (m Mode) perDay(limit int) int {
	if m.MailsPerDay > 0 && (limit == 0 || limit > m.MailsPerDay) {
		return m.MailsPerDay
	}
	return limit
}

// untilFree returns when the oldest mail leaves the window, at least a second
// from now.
func untilFree(oldest time.Time, window time.Duration, now time.Time) time.Duration {
	if oldest.IsZero() {
		return window
	}
	return min(max(oldest.Add(window).Sub(now), time.Second), window)
}

// inWords returns a duration for people, rounded up.
func inWords(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d >= time.Hour:
		unit, name = time.Hour, "hour"
	case d >= time.Minute:
		unit, name = time.Minute, "minute"
	}
	n := (d + unit - 1) / unit
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
