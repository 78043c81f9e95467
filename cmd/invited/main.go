// Command invited invites external guests by mail, catches that mail, and
// redeems the links in it.
//
// This package parses flags, builds the object graph ([newApp]) and turns
// failures into exit codes. It decides nothing about invitations.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes, the same for every verb.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitDenied   = 3  // refused by policy or for lack of permission
	exitNotFound = 4  // no such guest, invitation or message
	exitTimedOut = 5  // nothing happened in time
	exitConfig   = 78 // the configuration forbids starting (EX_CONFIG)
)

// exitError is a failure with its exit code. Its text is shown as it is.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// env is the world as a verb sees it.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// cli is the whole command line. Each verb has a file of its own.
type cli struct {
	Demo         demoCmd         `cmd:"" help:"Watch an invitation go all the way, on real SMTP and HTTP, with a throw-away tenant."`
	Serve        serveCmd        `cmd:"" help:"Run everything: sender, sink, redemption, Graph API."`
	Sink         sinkCmd         `cmd:"" help:"Run the mail sink alone: an SMTP server for tests."`
	Invite       inviteCmd       `cmd:"" help:"Invite a guest."`
	Resend       resendCmd       `cmd:"" help:"Mail a new link to a guest who has not accepted."`
	Revoke       revokeCmd       `cmd:"" help:"Withdraw an invitation; every link of it stops working."`
	Reset        resetCmd        `cmd:"" help:"Let a guest redeem again, keeping account, groups and apps."`
	Preflight    preflightCmd    `cmd:"" help:"Say what would become of an invitation, without inviting."`
	Diagnose     diagnoseCmd     `cmd:"" help:"Say why a guest did not get in, and what to do."`
	Guests       guestsCmd       `cmd:"" help:"List, show, delete and restore guests."`
	Homes        homesCmd        `cmd:"" help:"See and set what is known of the organisations guests come from."`
	Inbox        inboxCmd        `cmd:"" help:"Look into the sink: list, wait, show, raw, links, clear."`
	Faults       faultsCmd       `cmd:"" help:"See and set how the sink's SMTP misbehaves: refuse, delay, drop."`
	Rules        rulesCmd        `cmd:"" help:"See and set which mail the sink files in which folder, whatever it looks like."`
	Outbox       outboxCmd       `cmd:"" help:"See what became of mail, and send it again: list, show, redrive."`
	Suppressions suppressionsCmd `cmd:"" help:"See and set which addresses are not mailed: list, add, lift."`
	Bounce       bounceCmd       `cmd:"" help:"Take a bounce from a mail system, on standard input. Exit code 75: try again later."`
	Token        tokenCmd        `cmd:"" help:"Print a bearer token for curl and scripts."`
	Keys         keysCmd         `cmd:"" help:"List or rotate the keys that sign links."`
	Doctor       doctorCmd       `cmd:"" help:"Check this machine, the data directory and a running server."`
	Backup       backupCmd       `cmd:"" help:"Write database and keys to one file, while the server runs."`
	Restore      restoreCmd      `cmd:"" help:"Get a data directory back from a backup."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

const description = `Invites external guests by mail, catches that mail, and shows everyone what became of the invitation.

Start with:  invited demo     one invitation, all the way, in a terminal
             invited serve    the same for your own invitations`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(env{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out one command line and returns its exit code.
func run(e env, args []string) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("invited"),
		kong.Description(description),
		kong.Writers(e.stdout, e.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.DefaultEnvars("INVITED"),
		kong.Vars{"reservedDomains": reservedDomains, "dataDir": defaultDataDir, "server": defaultServer, "sink": defaultSink},
	)
	if err != nil {
		fmt.Fprintln(e.stderr, "invited: the command line is defined wrongly:", err)
		return exitFailed
	}
	if resolver, err := configResolver(args, parser.Model); err != nil {
		return usageError(e, err.Error())
	} else if resolver != nil {
		if err := kong.Resolvers(resolver).Apply(parser); err != nil {
			return usageError(e, err.Error())
		}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		return usageError(e, usageText(args, err))
	}
	if name := parsed.Command(); name == "serve" || name == "sink" {
		warnMailpit(e.stderr, os.Environ(), parser.Model)
	}
	return exitCode(e, parsed.Run(e))
}

// usageText words a parse error for people.
func usageText(args []string, err error) string {
	text := err.Error()
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && text == "unexpected argument "+args[0] {
		return fmt.Sprintf("unknown command %q", args[0])
	}
	return text
}

// usageError reports a mistake in the command line.
func usageError(e env, text string) int {
	fmt.Fprintf(e.stderr, "invited: %s\nusage: invited <command> [flags], see invited --help\n", text)
	return exitUsage
}

// exitCode reports a failure of a verb and returns the exit code for it.
func exitCode(e env, err error) int {
	if err == nil {
		return exitOK
	}
	if x, ok := errors.AsType[*exitError](err); ok {
		if x.text != "" {
			fmt.Fprintln(e.stderr, "invited:", x.text)
		}
		return x.code
	}
	if errors.Is(err, context.Canceled) {
		return exitFailed
	}
	fmt.Fprintln(e.stderr, "invited:", err)
	return exitFailed
}
