package sqlstore

import (
	"context"
	"encoding/json"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/tenant"
)

// ListEvents lists audit events, newest first.
func (r *Reader) ListEvents(ctx context.Context, t directory.TenantID, q tenant.EventQuery) ([]audit.Event, error) {
	before := q.Before
	if before == "" {
		before = last
	}
	if q.User != "" {
		return many(ctx, r, r.q.listEventsOfUser, listEventsOfUserParams{
			Tenant: string(t), Target: string(q.User), Before: before, MaxRows: pageSize(q.Limit),
		}, eventOf)
	}
	return many(ctx, r, r.q.listEvents, listEventsParams{Tenant: string(t), Before: before, MaxRows: pageSize(q.Limit)}, eventOf)
}

// Events lists what happened to an invitation, oldest first.
func (r *Reader) Events(ctx context.Context, t directory.TenantID, id invite.ID, after string, limit int) ([]audit.Event, error) {
	return many(ctx, r, r.q.listEventsOfInvitation, listEventsOfInvitationParams{
		Tenant: string(t), InvitationID: string(id), After: after, MaxRows: pageSize(limit),
	}, eventOf)
}

func eventOf(row AuditEvent) (audit.Event, error) {
	e := audit.Event{
		ID:          row.ID,
		Tenant:      row.Tenant,
		At:          moment(row.At),
		Activity:    audit.Activity(row.Activity),
		Result:      audit.Result(row.Result),
		Reason:      row.Reason,
		Actor:       row.Actor,
		ActorName:   row.ActorName,
		Target:      row.Target,
		TargetName:  row.TargetName,
		Invitation:  row.InvitationID,
		Correlation: row.Correlation,
	}
	return e, parse("audit_events.details", row.Details, &e.Details)
}

func newEvent(e audit.Event) step {
	row := insertEventParams{
		Tenant:       e.Tenant,
		ID:           e.ID,
		At:           micros(e.At),
		Activity:     string(e.Activity),
		Result:       string(e.Result),
		Reason:       e.Reason,
		Actor:        e.Actor,
		ActorName:    e.ActorName,
		Target:       e.Target,
		TargetName:   e.TargetName,
		InvitationID: e.Invitation,
		Correlation:  e.Correlation,
	}
	if len(e.Details) > 0 {
		b, _ := json.Marshal(e.Details) // strings always marshal
		row.Details = string(b)
	}
	return func(ctx context.Context, q *Queries) error { return q.insertEvent(ctx, row) }
}
