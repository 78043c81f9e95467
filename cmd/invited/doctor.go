package main

import (
	"fmt"

	"invited/server/doctor"
)

type doctorCmd struct {
	serverFlags
	outputFlag
	dnsFlags
	dkimFlags
}

// Run looks at the data directory and the server it belongs to, or at what the
// DNS says of a domain.
func (c doctorCmd) Run(e env) error {
	if c.SendingDomain != "" {
		return c.examineSender(e)
	}
	if c.dnsFlags.Resolver != "" || c.Zone != "" || len(c.IPs) > 0 {
		return &exitError{exitUsage, "--resolver, --zone and --ip belong to --domain: name the domain that sends mail"}
	}
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
	return c.report(e, doctor.Examine(e.ctx, target))
}

// report prints results; a problem among them is a failure.
func (c doctorCmd) report(e env, results []doctor.Result) error {
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
