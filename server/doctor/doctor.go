// Package doctor holds the checks behind "invited doctor": is the data
// directory private, is there space, does a server answer on each of its
// ports?
//
// It looks and changes nothing.
package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Result is the outcome of one check.
type Result struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`           // what was seen
	Remedy string `json:"remedy,omitempty"` // what to do; empty if OK
}

// Target is what to look at. An empty field skips its checks.
type Target struct {
	Data   string // data directory
	Server string // URL of pages and API
	Sink   string // URL of the sink's REST interface
	Token  string // bearer token of Server; empty skips what needs one
	SMTP   string // host:port of the sink's SMTP listener
}

// patience bounds each check that talks to a port.
const patience = 5 * time.Second

// Examine runs every check, in order.
func Examine(ctx context.Context, t Target) []Result {
	results := []Result{dataDir(t.Data)}
	if results[0].OK {
		results = append(results, privateFiles(t.Data), writable(t.Data))
	}
	if t.Server != "" {
		results = append(results, answers(ctx, "server", t.Server+"/readyz"))
		if t.Token != "" {
			results = append(results, outbox(ctx, t.Server, t.Token))
		}
	}
	if t.Sink != "" {
		results = append(results, answers(ctx, "sink", t.Sink+"/readyz"))
	}
	if t.SMTP != "" {
		results = append(results, greets(ctx, t.SMTP))
	}
	return results
}

// dataDir checks that the data directory exists and is nobody else's business.
func dataDir(dir string) Result {
	r := Result{Name: "data directory"}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Detail, r.Remedy = dir+" does not exist", "start a server once, or name the directory with --data"
	case err != nil:
		r.Detail, r.Remedy = err.Error(), "let this user read the directory"
	case !info.IsDir():
		r.Detail, r.Remedy = dir+" is not a directory", "name a directory with --data"
	case open(info):
		r.Detail, r.Remedy = fmt.Sprintf("%s has mode %04o", dir, info.Mode().Perm()), "chmod 700 "+dir
	default:
		r.OK, r.Detail = true, dir+" is private"
	}
	return r
}

// open reports whether others can read a file.
func open(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// privateFiles checks the modes of everything that holds keys or mail.
func privateFiles(dir string) Result {
	r := Result{Name: "file modes", OK: true}
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was listed
		}
		if err != nil {
			return err
		}
		count++
		if info, err := d.Info(); err == nil && open(info) && r.OK {
			mode := "600"
			if d.IsDir() {
				mode = "700"
			}
			r.OK, r.Detail, r.Remedy = false, fmt.Sprintf("%s has mode %04o", path, info.Mode().Perm()), "chmod "+mode+" "+path
		}
		return nil
	})
	if err != nil {
		return Result{Name: r.Name, Detail: err.Error(), Remedy: "let this user read the directory"}
	}
	if r.OK {
		r.Detail = fmt.Sprintf("%d files and directories are private", count)
	}
	return r
}

// writable checks that there is space, by writing and removing a file.
func writable(dir string) Result {
	r := Result{Name: "disk space"}
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		r.Detail, r.Remedy = err.Error(), "free space, or let this user write there"
		return r
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 1<<20))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		r.Detail, r.Remedy = err.Error(), "free space: nothing can be accepted without it"
		return r
	}
	r.OK, r.Detail = true, "a mebibyte could be written"
	return r
}

// answers checks that a readiness route answers 200.
func answers(ctx context.Context, name, url string) Result {
	r := Result{Name: name}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		r.Detail, r.Remedy = err.Error(), "name a URL such as http://127.0.0.1:8080"
		return r
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Detail, r.Remedy = url+" does not answer", "start it with: invited serve"
		return r
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.Detail, r.Remedy = url+" answers "+resp.Status, "read the server's log; its storage may not answer"
		return r
	}
	r.OK, r.Detail = true, fmt.Sprintf("%s is ready (%d ms)", url, time.Since(start).Milliseconds())
	return r
}

// greets checks that an SMTP server says 220.
func greets(ctx context.Context, addr string) Result {
	r := Result{Name: "SMTP"}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		r.Detail, r.Remedy = addr+" does not answer", "start it with: invited serve"
		return r
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
	_, _ = conn.Write([]byte("QUIT\r\n"))
	if err != nil || !strings.HasPrefix(line, "220 ") {
		r.Detail, r.Remedy = fmt.Sprintf("%s greets with %q", addr, strings.TrimSpace(line)), "something else listens there; choose another --smtp"
		return r
	}
	r.OK, r.Detail = true, addr+" greets"
	return r
}
