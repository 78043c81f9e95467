package sink_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
)

func TestWait(t *testing.T) {
	s := open(t, sink.Options{Judge: junk})
	q, err := sink.ParseQuery("subject:wanted")
	require.NoError(t, err)
	type answer struct {
		m   sink.Captured
		err error
	}
	wait := func(q sink.Query, after string) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			m, err := s.Wait(context.Background(), q, after)
			c <- answer{m, err}
		}()
		return c
	}
	early := wait(q, "")
	receive(t, s, note("other", "", ""))
	first := receive(t, s, note("wanted", "", ""))
	got := <-early
	require.NoError(t, got.err)
	require.Equal(t, first, got.m.ID)

	second := receive(t, s, note("wanted", "", ""))
	third := receive(t, s, note("wanted", "", ""))
	got = <-wait(q, first)
	require.Equal(t, second, got.m.ID, "the first one after")
	got = <-wait(q, "")
	require.Equal(t, third, got.m.ID, "the newest, without an id to follow")

	q.Recipient, q.Folder = "junk@fabrikam.example", sink.Junk
	late := wait(q, third)
	receive(t, s, note("wanted", "", ""), "jane@fabrikam.example")
	fourth := receive(t, s, note("wanted", "", ""), "junk@fabrikam.example")
	require.Equal(t, fourth, (<-late).m.ID)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = s.Wait(ctx, q, fourth)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	closed := wait(q, fourth)
	require.NoError(t, s.Close())
	require.Error(t, (<-closed).err)
}

func TestEventsComeInOrder(t *testing.T) {
	s := open(t, sink.Options{Judge: junk})
	events, cancel := s.Subscribe()
	var ids []string
	for i := range 20 {
		ids = append(ids, receive(t, s, note(fmt.Sprint("n", i), "", "")))
	}
	for _, id := range ids {
		e := <-events
		require.Equal(t, sink.New, e.Type)
		require.Equal(t, id, e.ID)
		require.Equal(t, id, e.Message.ID)
	}
	require.NoError(t, s.SetRead(t.Context(), ids[:1], true))
	require.NoError(t, s.SetRead(t.Context(), ids[:1], true), "nothing changes, nothing is told")
	require.NoError(t, s.SetTags(t.Context(), ids[1:2], []string{"a"}))
	require.NoError(t, s.Delete(t.Context(), ids[:2]))
	require.NoError(t, s.DeleteAll(t.Context()))
	e := <-events
	require.True(t, e.Type == sink.Update && e.ID == ids[0] && e.Message.Read)
	e = <-events
	require.True(t, e.Type == sink.Update && e.ID == ids[1])
	require.Equal(t, []string{"a"}, e.Message.Tags)
	require.Equal(t, sink.Event{Type: sink.Deleted, ID: ids[0]}, <-events)
	require.Equal(t, sink.Event{Type: sink.Deleted, ID: ids[1]}, <-events)
	require.Equal(t, sink.Truncate, (<-events).Type)
	cancel()
	_, more := <-events
	require.False(t, more)
	cancel()

	slow, _ := s.Subscribe()
	var last string
	for i := range 1200 {
		last = receive(t, s, note(fmt.Sprint("n", i), "", ""))
	}
	require.NoError(t, s.Indexed(t.Context(), last))
	var got []sink.Event
	for e := range slow {
		got = append(got, e)
	}
	require.Equal(t, sink.Dropped, got[len(got)-1].Type)
	require.Len(t, got, 1025)
}
