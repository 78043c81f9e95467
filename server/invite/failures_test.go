package invite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/invite"
	"invited/server/problem"
)

var forged = &problem.Error{Kind: problem.Gone, Reason: problem.LinkInvalid, Detail: "This link is not valid."}

func TestFailedLinksOfOneNetworkAreLimited(t *testing.T) {
	r := newRig(t)
	reads := r.store.reads
	for range invite.DefaultFailedLinks {
		require.Equal(t, error(forged), r.FailedLink("net", forged))
		r.advance(time.Second)
	}
	err := r.FailedLink("net", forged)
	requireReason(t, err, problem.TooMany, problem.TooManyTries)
	require.Equal(t, 40*time.Second, problem.Of(err).RetryAfter)
	require.Equal(t, error(forged), r.FailedLink("another", forged))
	require.NoError(t, r.FailedLink("net", nil), "a link that verifies costs nothing")
	expired := errors.New("expired")
	require.Equal(t, expired, r.FailedLink("net", expired))
	r.advance(40 * time.Second)
	require.Equal(t, error(forged), r.FailedLink("net", forged))
	require.Equal(t, reads, r.store.reads, "nothing is read or written")
}

func TestFailedLinksOfVeryManyNetworks(t *testing.T) {
	r := newRig(t)
	for i := range 10_000 {
		require.Equal(t, error(forged), r.FailedLink(fmt.Sprint(i), forged))
	}
	requireReason(t, r.FailedLink("one too many", forged), problem.TooMany, problem.TooManyTries)
	r.advance(time.Minute)
	require.Equal(t, error(forged), r.FailedLink("one too many", forged), "old ones are forgotten")
}

func TestFailedLinksSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run := func(s *invite.Service) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			synctest.Wait()
			cancel()
			require.NoError(t, <-done)
		}
		for range invite.DefaultFailedLinks {
			_ = r.FailedLink("net", forged)
		}
		run(r.Service)
		again := newRig(t, func(o *invite.Options) { o.Store = r.store })
		run(again.Service)
		requireReason(t, again.FailedLink("net", forged), problem.TooMany, problem.TooManyTries)
	})
}
