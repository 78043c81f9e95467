package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptAwait repeats a verb that lists until there is something to list.
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await VERB...")
	}
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ts.Check(ts.Exec("invited", args...))
		if !strings.HasPrefix(ts.ReadFile("stdout"), "No ") {
			return
		}
		select {
		case <-deadline.C:
			ts.Fatalf("nothing came")
		case <-tick.C:
		}
	}
}

// scriptField puts a member of the first object of the JSON list on standard
// output into a variable.
func scriptField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field MEMBER VARIABLE")
	}
	var list []map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(list) == 0 {
		ts.Fatalf("the list is empty")
	}
	value, ok := list[0][args[0]].(string)
	if !ok {
		ts.Fatalf("there is no text %q in %v", args[0], list[0])
	}
	ts.Setenv(args[1], value)
}
