package mailpit_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/sink/faults"
	"invited/server/mailpit"
)

// relay is a relay that remembers, and refuses who is called refused.
type relay struct {
	mu   sync.Mutex
	sent []mail.Message
}

func (l *relay) Send(_ context.Context, m mail.Message) mail.Attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.To.Key() == "refused@fabrikam.example" {
		return mail.Attempt{Stage: mail.StageRcpt, Code: 550, Text: "550 5.1.1 no\r\nsuch guest", Permanent: true}
	}
	l.sent = append(l.sent, m)
	return mail.Attempt{Stage: mail.StageDot, Code: 250}
}

// chances are chaos without a server.
type chances struct {
	mu  sync.Mutex
	all map[faults.Stage][2]int
}

func (c *chances) Chance(stage faults.Stage) (code, percent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[stage][0], c.all[stage][1]
}

func (c *chances) SetChance(stage faults.Stage, code, percent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[faults.Stage][2]int{stage: {code, percent}}
	for s, v := range c.all {
		if s != stage {
			all[s] = v
		}
	}
	c.all = maps.Clone(all)
}

// filter is a spam filter that says err, or else 1.5 points.
type filter struct{ err error }

func (f filter) Check(context.Context, []byte) (mailpit.SpamReport, error) {
	if f.err != nil {
		return mailpit.SpamReport{}, f.err
	}
	return mailpit.SpamReport{Score: 1.5, Rules: []mailpit.SpamRule{{Score: 1.5, Name: "TEST", Description: "it is a test"}}}, nil
}

type counts struct{}

func (counts) Counts() (accepted, acceptedBytes, rejected, ignored int64) { return 7, 7000, 3, 1 }

// TestMailpitsOwnClient lets the npm package mailpit-api call everything it
// can. MAILPIT_API_DIR is where testdata/mailpit/package.json was installed.
func TestMailpitsOwnClient(t *testing.T) {
	dir, required := os.Getenv("MAILPIT_API_DIR"), os.Getenv("CI_REQUIRE_ALL") == "1"
	node, err := exec.LookPath("node")
	if err != nil && required {
		t.Fatal("node is missing: install Debian's nodejs package")
	}
	if err != nil {
		t.Skip("node, which comes with Debian's nodejs package, is not installed")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "mailpit-api")); dir == "" || err != nil {
		if required {
			t.Fatal("the npm package mailpit-api is missing: copy testdata/mailpit/package.json to a folder, run npm install there, and name it in MAILPIT_API_DIR")
		}
		t.Skip("the npm package mailpit-api is not installed, or MAILPIT_API_DIR does not name its folder")
	}
	f := openWith(t, func(h *mailpit.Handler) {
		h.Login = mailpit.OneLogin("ana", "pässword")
		h.Relay, h.Faults, h.Spam, h.Stats = &mailpit.Relay{Sender: &relay{}, Server: "relay.contoso.example:25"}, &chances{}, filter{}, counts{}
	})
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "mailpit", "client.mjs"))
	cmd.Env = append(os.Environ(), "SINK_URL="+f.url)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
}
