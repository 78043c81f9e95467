package main

import (
	"context"
	"strings"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/engine"
	"invited/mail/sink/rules"
	"invited/mail/sink/scenario"
	"invited/server/mailpit"
)

// judgeFlags say how captured mail is judged.
type judgeFlags struct {
	Scenario string `placeholder:"FILE" help:"JSON: the client address, HELO and DNS zone by which SPF, DKIM and DMARC of captured mail are judged."`
	Rspamd   string `placeholder:"URL" help:"Ask rspamd about captured mail, such as http://127.0.0.1:11333."`
	Spamd    string `env:"INVITED_SPAMD,MP_ENABLE_SPAMASSASSIN" placeholder:"ADDR" help:"Ask SpamAssassin's spamd about captured mail, such as 127.0.0.1:783."`
}

// judging is who judges captured mail.
type judging struct {
	judge   sink.Judge
	engines []engine.Engine
}

// judging reads the scenario and names the filters; nothing is asked yet.
func (f judgeFlags) judging(forced *sink.Forced) (j judging, err error) {
	j.judge.Forced = forced
	if f.Scenario != "" {
		if j.judge.Scenario, err = scenario.Load(f.Scenario); err != nil {
			return j, &exitError{exitConfig, "--scenario: " + strings.TrimPrefix(err.Error(), "scenario: ")}
		}
	}
	if f.Spamd != "" {
		e, err := engine.NewSpamd(f.Spamd, 0)
		if err != nil {
			return j, &exitError{exitUsage, "--spamd: " + strings.TrimPrefix(err.Error(), "engine: ")}
		}
		j.engines = append(j.engines, e)
	}
	if f.Rspamd != "" {
		e, err := engine.NewRspamd(f.Rspamd, 0)
		if err != nil {
			return j, &exitError{exitUsage, "--rspamd: " + strings.TrimPrefix(err.Error(), "engine: ")}
		}
		j.engines = append(j.engines, e)
	}
	return j, nil
}

// spam returns the filter Mailpit's clients ask; nil if there is none.
func (j judging) spam(now func() time.Time) mailpit.Spam {
	if len(j.engines) == 0 {
		return nil
	}
	return spamCheck{j, now}
}

// watch asks the filters about every message from now on.
func (j judging) watch(ctx context.Context, a *app) error {
	if len(j.engines) == 0 {
		return nil
	}
	return (&engine.Runner{Sink: a.sink, Engines: j.engines, Judge: j.judge, Log: a.log}).Run(ctx)
}

// spamCheck lets Mailpit's clients ask the first filter.
type spamCheck struct {
	judging
	now func() time.Time
}

// spamError is why a filter gave no opinion.
type spamError string

func (e spamError) Error() string { return string(e) }

// Check implements mailpit.Spam. The filter is not told the envelope, except
// for what the mail says of itself.
func (s spamCheck) Check(ctx context.Context, raw []byte) (mailpit.SpamReport, error) {
	local := sink.Envelope{Remote: "127.0.0.1:0", Helo: "localhost", Received: s.now()}
	e := engine.Ask(ctx, s.engines[0], engine.Describe(s.judge, local, raw))
	if e.Error != "" {
		return mailpit.SpamReport{}, spamError(e.Error)
	}
	out := mailpit.SpamReport{Spam: e.Folder == rules.Junk, Score: e.Score}
	for _, symbol := range e.Symbols {
		out.Rules = append(out.Rules, mailpit.SpamRule{Score: symbol.Score, Name: symbol.Name, Description: symbol.Description})
	}
	return out, nil
}
