package imapd

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
)

// FuzzParse holds what FETCH relies on: every part is a piece of the raw mail,
// header and body joined are the part, the tree is bounded, and each path that
// the structure names is found.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "Subject: x\r\n\r\nbody", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n",
		"Content-Type: multipart/digest; boundary=\"b b\"\n\n--b b\n\nA: b\n\nx\n--b b--", "Content-Type: multipart/x; boundary=b; boundary=c\r\n\r\n--b\r\n--b\r\n--b--",
		strings.Repeat("Content-Type: message/rfc822\n\n", 30), "a\r\n b\r\n:\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		root := parse(raw)
		require.Equal(t, string(raw), string(root.section(&imap.FetchItemBodySection{})))
		count := 0
		var walk func(p *part, depth int)
		walk = func(p *part, depth int) {
			count++
			require.LessOrEqual(t, depth, maxDepth)
			require.Equal(t, string(p.raw), string(p.header)+string(p.body))
			require.True(t, bytes.Contains(raw, p.raw))
			for _, c := range p.children {
				walk(c, depth+1)
			}
			if p.message != nil {
				walk(p.message, depth+1)
			}
		}
		walk(root, 1)
		require.LessOrEqual(t, count, maxParts+1)
		root.structure().Walk(func(path []int, _ imap.BodyStructure) bool {
			require.NotNil(t, root.find(path), "%v", path)
			return true
		})
		_ = root.envelope()
		_ = root.decoded([]int{1})
	})
}

// FuzzGate holds that the gate takes what the limits allow, however it arrives,
// and passes it on unchanged.
func FuzzGate(f *testing.F) {
	for _, seed := range []string{"a NOOP\r\n", "a LOGIN {3}\r\nx@y {1+}\r\np\r\n", "a APPEND INBOX {5}\r\n12345\r\n", "a X {99999999999999999999}\r\n", "{+}\r\n{-1}\r\n{4097+}\r\n"} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, said []byte, step int) {
		step = 1 + max(step, -step)%64
		outcome := func(step int) error {
			g := &gate{line: 64, most: 10_000, head: make([]byte, 0, 128)}
			for at := 0; at < len(said); at += step {
				if err := g.scan(said[at:min(at+step, len(said))]); err != nil {
					return err
				}
				require.LessOrEqual(t, g.length, 64)
			}
			return nil
		}
		require.Equal(t, outcome(1), outcome(step))
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(said)
			_ = theirs.Close()
		}()
		g := &gate{Conn: silent{ours}, line: 64, most: 10_000, head: make([]byte, 0, 128)}
		got, err := io.ReadAll(g)
		_ = ours.Close()
		if err == nil {
			require.Equal(t, string(said), string(got))
		} else {
			require.True(t, bytes.HasPrefix(said, got))
		}
	})
}

// silent takes and forgets what is written.
type silent struct{ net.Conn }

func (silent) Write(b []byte) (int, error) { return len(b), nil }
