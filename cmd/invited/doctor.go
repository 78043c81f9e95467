package main

import (
	"fmt"

	"invited/server/doctor"
)

type doctorCmd struct {
	serverFlags
	outputFlag
}

// Run looks at the data directory and the server it belongs to.
func (c doctorCmd) Run(e env) error {
	cred, err := readCredential(c.Data)
	if err != nil {
		return err
	}
	target := doctor.Target{Data: c.Data, Server: cred.Server, Sink: cred.Sink, SMTP: cred.SMTP}
	if c.Server == "" || c.Server == cred.Server {
		target.Token = cred.Token // never sent to a server it was not made for
	}
	if c.Server != "" {
		target.Server = c.Server
	}
	results := doctor.Examine(e.ctx, target)
	t := table{columns: []string{"check", "result", "detail", "remedy"}, value: results}
	bad := 0
	for _, r := range results {
		mark := "ok"
		if !r.OK {
			mark, bad = "PROBLEM", bad+1
		}
		t.rows = append(t.rows, []string{r.Name, mark, r.Detail, r.Remedy})
	}
	if c.Output == "table" {
		for _, row := range t.rows {
			fmt.Fprintf(e.stdout, "%-8s %-15s %s\n", row[1], row[0], printableLine(row[2]))
			if row[3] != "" {
				fmt.Fprintf(e.stdout, "         → %s\n", row[3])
			}
		}
	} else if err := c.print(e.stdout, t); err != nil {
		return err
	}
	if bad > 0 {
		return &exitError{exitFailed, fmt.Sprintf("%d of %d checks found a problem", bad, len(results))}
	}
	return nil
}
