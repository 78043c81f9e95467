package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts and tests run the program itself: a command named
// "invited" on PATH is this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"invited": main})
}

// TestScript runs every file of testdata/script. They are also the examples of
// the verbs.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("INVITED_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TZ", "UTC")
			// Ports the system picks; a verb finds them in the data directory.
			for _, name := range []string{"LISTEN", "TLS_LISTEN", "SMTP", "SINK_HTTP", "IMAP", "POP3"} {
				env.Setenv("INVITED_"+name, "127.0.0.1:0")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": scriptReady, "smtp": scriptSMTP, "await": scriptAwait, "field": scriptField},
	})
}

// scriptReady waits until the server of a data directory answers, and puts its
// URLs and SMTP address into the variables SERVER, SINK and SMTP.
func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: ready [DIR]")
	}
	dir := ts.Getenv("INVITED_DATA")
	if len(args) == 1 {
		dir = ts.MkAbs(args[0])
	}
	c, err := awaitServer(dir, 20*time.Second)
	ts.Check(err)
	ts.Setenv("SERVER", c.Server)
	ts.Setenv("SINK", c.Sink)
	ts.Setenv("SMTP", c.SMTP)
}

// scriptSMTP says lines to the sink of the last ready, as client.example, and
// prints the last line of each reply. After DATA lines are a message up to the
// dot.
func scriptSMTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: smtp LINE...")
	}
	conn, err := net.Dial("tcp", ts.Getenv("SMTP"))
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	r := bufio.NewReader(conn)
	answer := func() string {
		for {
			line, err := r.ReadString('\n')
			ts.Check(err)
			if len(line) > 3 && line[3] == ' ' {
				return line
			}
		}
	}
	answer()
	body := false
	for i, line := range append([]string{"EHLO client.example"}, args...) {
		_, err := fmt.Fprintf(conn, "%s\r\n", line)
		ts.Check(err)
		if body = body && line != "."; body {
			continue
		}
		reply := answer()
		if body = strings.HasPrefix(reply, "354"); i > 0 && !body {
			_, err = fmt.Fprint(ts.Stdout(), strings.ReplaceAll(reply, "\r\n", "\n"))
			ts.Check(err)
		}
	}
}

// awaitServer waits until the server of a data directory answers.
func awaitServer(dir string, patience time.Duration) (localCredential, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		c, err := readCredential(dir)
		if err == nil && c.Sink != "" {
			url := c.Server
			if url == "" {
				url = c.Sink
			}
			var resp *http.Response
			if resp, err = http.Get(url + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return c, nil
				}
			}
		}
		last = err
		select {
		case <-deadline.C:
			if last == nil {
				last = os.ErrDeadlineExceeded
			}
			return c, last
		case <-tick.C:
		}
	}
}
