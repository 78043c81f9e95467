package sink

import "invited/mail/sink/spool"

// EventType says what happened.
type EventType string

// The events. After Refresh, and after reconnecting because of Dropped, read
// the list again.
const (
	New      EventType = "new"      // Message was listed
	Update   EventType = "update"   // Message has other flags, tags or folders
	Deleted  EventType = "delete"   // the message ID is gone
	Truncate EventType = "truncate" // all messages are gone
	Refresh  EventType = "refresh"  // many messages changed or went at once
	Dropped  EventType = "dropped"  // last event of a subscriber that was too slow
)

// Event is a change of the list.
type Event struct {
	Type    EventType
	ID      string    // of New, Update and Deleted
	Message *Captured // of New and Update; shared, not to be changed
}

const (
	eventBuffer = 1024 // events a subscriber may be behind
	eventBurst  = 64   // changes told one by one; more are told as Refresh
)

type subscription struct{ events chan Event }

// Subscribe returns the changes from now on, in the order in which they
// happened, and a function that ends the subscription. A reader that falls 1,024
// events behind gets Dropped as the last event; then, as after the end and when
// the sink closes, the channel is closed.
func (s *Sink) Subscribe() (<-chan Event, func()) {
	sub := &subscription{events: make(chan Event, eventBuffer+1)} // one more for Dropped
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stopped:
		close(sub.events)
		return sub.events, func() {}
	default:
	}
	s.subs[sub] = struct{}{}
	return sub.events, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(sub)
	}
}

// end ends a subscription. The caller holds mu.
func (s *Sink) end(sub *subscription) {
	if _, ok := s.subs[sub]; ok {
		delete(s.subs, sub)
		close(sub.events)
	}
}

// publish tells every subscriber. The caller holds mu.
func (s *Sink) publish(e Event) {
	for sub := range s.subs {
		if len(sub.events) >= eventBuffer {
			sub.events <- Event{Type: Dropped}
			s.end(sub)
			continue
		}
		sub.events <- e
	}
}

// publishUpdates tells of changed messages. The caller holds mu.
func (s *Sink) publishUpdates(keys []int64) error {
	if len(keys) == 0 || len(s.subs) == 0 {
		return nil
	}
	if len(keys) > eventBurst {
		s.publish(Event{Type: Refresh})
		return nil
	}
	rows, err := s.index.Rows(background, keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		m := captured(row)
		s.publish(Event{Type: Update, ID: m.ID, Message: &m})
	}
	return nil
}

// publishDeleted tells of deleted messages. The caller holds mu.
func (s *Sink) publishDeleted(keys []int64) {
	if len(keys) > eventBurst {
		s.publish(Event{Type: Refresh})
		return
	}
	for _, key := range keys {
		s.publish(Event{Type: Deleted, ID: spool.FromKey(key).String()})
	}
}
