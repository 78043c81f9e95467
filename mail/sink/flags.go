package sink

import (
	"context"

	"invited/mail/sink/index"
)

// What a user does to messages lasts when these return. Ids that name no
// message are passed over.

// SetRead marks messages read or unread.
func (s *Sink) SetRead(ctx context.Context, ids []string, read bool) error {
	return s.change(ctx, func() ([]int64, error) { return s.index.SetRead(ctx, s.keys(ids), read) })
}

// SetTags gives messages exactly these tags; none takes all off. Tags differ
// by more than case.
func (s *Sink) SetTags(ctx context.Context, ids []string, tags []string) error {
	return s.change(ctx, func() ([]int64, error) { return s.index.SetTags(ctx, s.keys(ids), tags) })
}

// RenameTag renames a tag on every message; an empty new name takes it off.
// It is ErrNotFound if no message carries it.
func (s *Sink) RenameTag(ctx context.Context, tag, renamed string) error {
	return s.change(ctx, func() ([]int64, error) { return s.index.RenameTag(ctx, tag, renamed) })
}

// SetFolder moves a message to a folder of one recipient. It is ErrNotFound if
// the recipient does not have it. The verdict stays what it was.
func (s *Sink) SetFolder(ctx context.Context, id, recipient string, folder Folder) error {
	key, err := s.key(id)
	if err != nil {
		return err
	}
	return s.change(ctx, func() ([]int64, error) {
		moved, err := s.index.SetFolder(ctx, key, Key(recipient), folder == Junk)
		if !moved {
			return nil, err
		}
		return []int64{key}, err
	})
}

// change waits for what was received before, changes flags, and tells of it.
func (s *Sink) change(ctx context.Context, fn func() ([]int64, error)) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, err := fn()
	if err != nil {
		return missing(err)
	}
	return s.publishUpdates(changed)
}

// Delete deletes messages for good.
func (s *Sink) Delete(ctx context.Context, ids []string) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	deleted, err := s.index.Delete(ctx, s.keys(ids))
	if err == nil {
		s.publishDeleted(deleted)
	}
	s.mu.Unlock()
	if len(deleted) > 0 {
		s.free()
	}
	return err
}

// DeleteAll deletes everything that was received before the call, listed or
// not.
func (s *Sink) DeleteAll(ctx context.Context) error {
	s.mu.Lock()
	end, last := s.spool.End()
	err := s.index.Clear(ctx, index.Position(end))
	if err == nil {
		s.cleared = index.Position(end)
		s.publish(Event{Type: Truncate})
		s.progress.set(last.Key())
	}
	s.mu.Unlock()
	if err == nil {
		s.free()
	}
	return err
}
