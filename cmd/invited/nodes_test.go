package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/server/store/pgtest"
)

// TestNodesShareOneDatabase runs the whole program three times on one
// PostgreSQL. Each guest gets one mail, whichever node sends it, and a node whose
// worker is gone is no hindrance.
func TestNodesShareOneDatabase(t *testing.T) {
	url := pgtest.Start(t).NewDatabase(t)
	onPostgres := func(c *config) { c.Database, c.DBConns = url, 8 }
	nodes := make([]*testServer, 3)
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { nodes[i] = startServer(t, onPostgres) }) // together: one of them makes the tenant
	}
	starting.Wait()
	made := 0
	for _, n := range nodes {
		require.NotNil(t, n)
		require.Equal(t, nodes[0].seeded.Tenant, n.seeded.Tenant)
		if n.seeded.New {
			made++
		}
	}
	require.Equal(t, 1, made)

	want := map[string]int{}
	invite := func(through []*testServer, from, to int) {
		for i := from; i < to; i++ {
			address := fmt.Sprintf("guest%d@fabrikam%d.example", i, i%7)
			through[i%len(through)].invite(t, address, nil)
			want[address] = 1
		}
	}
	invite(nodes, 0, 60)
	nodes[0].stopWork()
	<-nodes[0].worker.Done()
	invite(nodes, 60, 90) // it still takes invitations; the others send them

	require.Eventually(t, func() bool { return len(received(t, nodes)) == len(want) }, time.Minute, 10*time.Millisecond)
	require.Equal(t, want, received(t, nodes))
}

// received counts the mail of each address in the sinks of all nodes.
func received(t *testing.T, nodes []*testServer) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, n := range nodes {
		page, err := n.app.sink.List(t.Context(), sink.Query{Limit: -1})
		require.NoError(t, err)
		for _, m := range page.Messages {
			for _, r := range m.Recipients {
				got[r.Address]++
			}
		}
	}
	return got
}
