// Package outbox sends queued mail until it is delivered or given up.
//
// A row is claimed under a lease, handed to a [Sender], and finished with what
// the relay said; a worker that dies loses its lease and another one takes the
// row over. The reply to the final dot decides, nothing before or after it.
//
//	queued ──claim──▶ sending ──2xx after the dot──▶ delivered
//	   ▲                 │ 5xx ─────────────────────▶ failed
//	   └── deferred ◀────┤ 4xx, reset, time-out
//	                     └ lease ran out ──▶ claimed again
//
// The package does not store anything itself and does not know who asked for a
// mail: [Item.Ref] is the owner's business.
package outbox

import (
	"context"
	"time"

	"invited/mail"
)

// Item is one leased message.
type Item struct {
	ID      string // of the queue row, as the store spells it: opaque here
	Ref     string // opaque reference of the owner, for logs
	Message mail.Message
	Attempt int       // number of this attempt, from 1
	Queued  time.Time // when it was first queued; giving up counts from here
}

// Result is what became of one leased item.
type Result struct {
	ID      string
	State   mail.DeliveryState // Delivered, Deferred, Failed
	Attempt mail.Attempt
	Next    time.Time // when to try again; set for Deferred only
}

// Store holds the queue.
type Store interface {
	// ClaimMail leases up to n due items to owner until now+lease, oldest
	// due first, and returns them. An item whose lease has run out is due.
	ClaimMail(ctx context.Context, owner string, now time.Time, lease time.Duration, n int) ([]Item, error)

	// FinishMail records results in one durable transaction. A result for
	// an item that owner no longer leases is dropped, unless it says
	// Delivered: what the relay took is never sent again.
	FinishMail(ctx context.Context, owner string, results []Result) error

	// NextMailDue returns when the next item falls due; false if the queue
	// has no open item.
	NextMailDue(ctx context.Context) (time.Time, bool, error)
}

// Meter is a [Store] that can say how much mail is open.
type Meter interface {
	// QueueDepth counts open mail by state. It looks at no more than limit
	// mails, those that are due first: if it counts so many, there may be
	// more.
	QueueDepth(ctx context.Context, limit int) ([]Depth, error)
}

// Depth is how much mail of one state is open.
type Depth struct {
	State    mail.DeliveryState // Queued, Deferred or Sending
	Messages int
	Oldest   time.Time // when the oldest of them was queued
}

// Renewer is a [Store] that can move the end of leases. With one, a [Worker]
// keeps its leases for as long as a relay makes it wait, and gives back what it
// did not begin when it stops. Without one it breaks a send off before the lease
// ends, and what it did not begin waits until then.
type Renewer interface {
	// RenewMail leases the items that owner still leases until now+lease.
	// A lease of zero gives them back: they are due at once.
	RenewMail(ctx context.Context, owner string, now time.Time, lease time.Duration, ids []string) error
}

// Sender hands messages to a relay.
type Sender interface {
	// Send tries to deliver m and reports how far it got. It never returns
	// before the attempt has an outcome or ctx ends.
	Send(ctx context.Context, m mail.Message) mail.Attempt
}
