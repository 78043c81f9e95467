package invite_test

import (
	"context"
	"slices"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
)

func (m *memory) Delivery(_ context.Context, t directory.TenantID, id string) (invite.Delivery, error) {
	unlock, err := m.read("Delivery")
	defer unlock()
	i := slices.IndexFunc(m.deliveries, func(d invite.Delivery) bool { return d.ID == id && t == m.tenant.ID })
	if err != nil || i < 0 {
		return invite.Delivery{}, firstError(err, directory.ErrNotFound)
	}
	return m.deliveries[i], nil
}

func (m *memory) ListMail(_ context.Context, _ directory.TenantID, q invite.MailQuery) ([]invite.Delivery, error) {
	unlock, err := m.read("ListMail")
	defer unlock()
	var out []invite.Delivery
	for _, d := range slices.Backward(m.deliveries) {
		if (q.State == "" || d.State == q.State) && (q.After == "" || d.ID < q.After) && len(out) < q.Limit {
			out = append(out, d)
		}
	}
	return out, err
}

func (m *memory) RedriveMail(_ context.Context, _ directory.TenantID, r invite.Redriven) error {
	unlock, err := m.read("RedriveMail")
	defer unlock()
	if err != nil {
		return err
	}
	for i, d := range m.deliveries {
		if d.ID == r.ID && (d.State == mail.Failed || d.State == mail.Deferred) {
			m.deliveries[i].State, m.deliveries[i].Queued, m.deliveries[i].Next = mail.Queued, r.Queued, r.Queued
			m.events = append(m.events, r.Audit)
			return nil
		}
	}
	return directory.ErrStale
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
