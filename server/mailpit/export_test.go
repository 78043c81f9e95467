package mailpit

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// JudgeHTML is judgeHTML, for fuzzing.
func JudgeHTML(source string) any { return judgeHTML(source) }

// Play queues calls and makes them for a time.
func (k *Webhook) Play(ctx context.Context, log *slog.Logger, calls int, d time.Duration) {
	for range calls {
		k.enqueue(summaryJSON{ID: "1"}, log)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	k.run(ctx, log)
}

// Reachable says whether an address is called by those who call public ones,
// and by those who call this machine.
func Reachable(address string) (public, loopback bool) {
	a := netip.MustParseAddr(address).Unmap()
	return reachPublic(a), reachLoopback(a)
}

// CallPublic makes a request that reaches public addresses only.
func CallPublic(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := transport(reachPublic).RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}
