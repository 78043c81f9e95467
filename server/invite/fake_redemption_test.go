package invite_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

// A memoryCode is a passcode with its fate.
type memoryCode struct {
	invite.Passcode
	tries int
	used  bool
}

// applyRedemption applies what a change does to blocks and passcodes.
func (m *memory) applyRedemption(c invite.Change) {
	for _, b := range c.Blocks {
		if _, there := m.blocks[b.Key]; !there {
			m.blocks[b.Key] = b.At
		}
	}
	for _, key := range c.Unblock {
		delete(m.blocks, key)
	}
	if c.Passcode != nil {
		m.passcodes[c.Passcode.Session] = &memoryCode{Passcode: *c.Passcode}
	}
}

func (m *memory) Blocked(_ context.Context, _ directory.TenantID, key string) (time.Time, error) {
	unlock, err := m.read("Blocked")
	defer unlock()
	at, ok := m.blocks[key]
	if err == nil && !ok {
		err = directory.ErrNotFound
	}
	return at, err
}

func (m *memory) Throttle(_ context.Context, _ directory.TenantID, q invite.Throttle) (time.Duration, error) {
	unlock, err := m.read("Throttle")
	defer unlock()
	wait := m.wait(q)
	if err == nil && wait == 0 {
		m.throttles[q.Bucket] = append(m.throttles[q.Bucket], q.Now)
	}
	return wait, err
}

// wait returns how long a bucket is closed.
func (m *memory) wait(q invite.Throttle) time.Duration {
	var recent []time.Time
	for _, at := range m.throttles[q.Bucket] {
		if at.After(q.Now.Add(-q.Window)) {
			recent = append(recent, at)
		}
	}
	m.throttles[q.Bucket] = recent
	if len(recent) < q.Limit {
		return 0
	}
	return recent[len(recent)-q.Limit].Add(q.Window).Sub(q.Now)
}

func (m *memory) AddTries(_ context.Context, _ directory.TenantID, bucket string, at []time.Time) error {
	unlock, err := m.read("AddTries")
	defer unlock()
	m.throttles[bucket] = append(m.throttles[bucket], at...)
	return err
}

func (m *memory) RecentTries(_ context.Context, _ directory.TenantID, _ time.Time) (map[string][]time.Time, error) {
	unlock, err := m.read("RecentTries")
	defer unlock()
	out := map[string][]time.Time{}
	for k, v := range m.throttles {
		out[k] = append(out[k], v...)
	}
	return out, err
}

func (m *memory) TryPasscode(_ context.Context, _ directory.TenantID, q invite.PasscodeTry) (invite.PasscodeOutcome, error) {
	unlock, err := m.read("TryPasscode")
	defer unlock()
	if err != nil {
		return invite.PasscodeOutcome{}, err
	}
	if w := m.wait(q.Throttle); w > 0 {
		return invite.PasscodeOutcome{Wait: w}, nil
	}
	c := m.passcodes[q.Session]
	if c != nil && c.Purpose == q.Purpose && !c.used && c.tries < q.MaxTries && q.Now.Before(c.Expires) {
		c.tries++
		if c.MAC == q.MAC {
			c.used = true
			return invite.PasscodeOutcome{Right: true}, nil
		}
		m.throttles[q.Throttle.Bucket] = append(m.throttles[q.Throttle.Bucket], q.Now)
		return invite.PasscodeOutcome{Left: q.MaxTries - c.tries}, nil
	}
	m.throttles[q.Throttle.Bucket] = append(m.throttles[q.Throttle.Bucket], q.Now)
	return invite.PasscodeOutcome{}, nil
}

func (p *pen) Code(_ context.Context, d invite.CodeData) (mail.Message, error) {
	return mail.Message{
		MessageID: fmt.Sprintf("code.%s@contoso.example", d.ID), From: "invites@contoso.example", To: d.Invitation.Email, Raw: []byte(d.Code),
	}, p.fail
}

// applyReturns applies what a change does to the suppression list and to mail
// that came back.
func (m *memory) applyReturns(c invite.Change) {
	if m.suppressions == nil {
		m.suppressions = map[string]invite.Suppression{}
	}
	for _, s := range c.Suppress {
		m.suppressions[s.Key] = s
	}
	for _, key := range c.Lift {
		delete(m.suppressions, key)
	}
	for _, r := range c.Returned {
		for i, d := range m.deliveries {
			if d.ID == r.Delivery {
				d.State, d.Last, d.Attempts = r.State, r.Attempt, d.Attempts+1
				d.Last.Number = d.Attempts
				m.deliveries[i] = d
			}
		}
	}
}

func (m *memory) Suppression(_ context.Context, _ directory.TenantID, key string) (invite.Suppression, error) {
	unlock, err := m.read("Suppression")
	defer unlock()
	s, ok := m.suppressions[key]
	if err == nil && !ok {
		err = directory.ErrNotFound
	}
	return s, err
}

func (m *memory) ListSuppressions(_ context.Context, _ directory.TenantID, now time.Time, after string, limit int) ([]invite.Suppression, error) {
	unlock, err := m.read("ListSuppressions")
	defer unlock()
	var out []invite.Suppression
	for _, key := range slices.Sorted(maps.Keys(m.suppressions)) {
		if s := m.suppressions[key]; key > after && s.Active(now) && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, err
}
