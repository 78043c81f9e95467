package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"invited/tokens"
)

// sinkConfig is what the sink needs, alone or beside everything else.
type sinkConfig struct {
	judgeFlags

	smtpFlags
	releaseFlags

	SMTP       string        `env:"INVITED_SMTP,MP_SMTP_BIND_ADDR" default:"127.0.0.1:1025" placeholder:"ADDR" help:"The sink's SMTP listener. Port 0 picks one."`
	SinkHTTP   string        `env:"INVITED_SINK_HTTP,MP_UI_BIND_ADDR" default:"127.0.0.1:8025" placeholder:"ADDR" help:"The sink's web pages and REST interface."`
	IMAP       string        `name:"imap" env:"INVITED_IMAP" default:"127.0.0.1:1143" placeholder:"ADDR" help:"The sink's IMAP listener: user is an address, any password; empty: none."`
	POP3       string        `name:"pop3" env:"INVITED_POP3" default:"127.0.0.1:1110" placeholder:"ADDR" help:"The sink's POP3 listener; empty: none."`
	Admin      string        `name:"admin" env:"INVITED_ADMIN" placeholder:"ADDR" help:"Metrics, state and profiles, for this machine only, such as 127.0.0.1:9090 (default: none)."`
	Data       string        `default:"${dataDir}" placeholder:"DIR" help:"Where everything is kept; made with mode 0700."`
	Ephemeral  bool          `help:"Keep nothing: use a temporary directory and remove it at the end."`
	MaxMessage int           `name:"max-messages" env:"INVITED_MAX_MESSAGES,MP_MAX_MESSAGES" default:"5000" help:"Messages the sink keeps; the oldest go first."`
	LogLevel   string        `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"How much to log to standard error: debug, info, warn or error."`
	ConfigFile string        `name:"config" placeholder:"FILE" help:"JSON object of flags, read before the environment and the command line."`
	Drain      time.Duration `default:"30s" help:"How long to finish work after SIGTERM."`
}

// config is everything the object graph is built from. It is filled in one
// place, from flags, environment and file, and handed down as plain fields.
type config struct {
	sinkConfig
	dkimFlags
	relayFlags

	Listen     string `default:"127.0.0.1:8080" placeholder:"ADDR" help:"Pages and API."`
	TLSListen  string `name:"tls-listen" default:"127.0.0.1:8443" placeholder:"ADDR" help:"The same over TLS, with a development CA (DIR/ca.pem) or --tls-cert; empty: none."`
	TLSCert    string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain in PEM for --tls-listen."`
	TLSKey     string `name:"tls-key" placeholder:"FILE" help:"Private key in PEM for --tls-cert."`
	Database   string `placeholder:"URL" help:"sqlite:PATH (default: invited.db in --data), or postgres://USER:PASSWORD@HOST/NAME for several nodes."`
	DBConns    int    `name:"database-connections" default:"16" help:"Connections to PostgreSQL at most, beside one that listens."`
	Relay      string `placeholder:"URL" help:"smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, or several with commas between them, of which the first that works is used (default: the built-in sink)."`
	Sender     string `placeholder:"MAILBOX" help:"From of the mail, such as 'Contoso Invitations <invite@contoso.example>'. Required with --relay to another machine."`
	PublicURL  string `name:"public-url" placeholder:"URL" help:"How guests reach --listen; the links in the mail begin with it (default: http://LISTEN)."`
	Connection int    `name:"relay-connections" default:"8" help:"Connections to the relay at most."`
	LinkTries  int    `name:"failed-links" default:"0" help:"Links that do not verify, from one network in a minute (default: 20, or 2000 while mail goes to the sink)."`
	Retry      string `enum:"standard,fast" default:"standard" help:"When deferred mail is tried again: standard (minutes to hours) or fast (seconds, for tests)."`
	Clock      bool   `name:"clock-control" help:"Let POST /invited/v1/clock advance the clock (loopback only, for tests)."`
	Password   string `name:"seed-password" hidden:"" help:"Password of the seeded accounts (default: random)."`
	Secret     string `name:"seed-client-secret" hidden:"" help:"Secret of the seeded application (default: random)."`

	accessAlg tokens.Alg // of access tokens; empty means RS256
	sinkOnly  bool       // no tenant, no sender: the sink alone
}

// log returns the logger for standard error.
func (c config) log(e env) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return slog.New(slog.NewJSONHandler(e.stderr, &slog.HandlerOptions{Level: levels[c.LogLevel]}))
}

// ephemeralConfig is a server on ports the system picks, kept in dir.
func ephemeralConfig(dir string) config {
	return config{
		sinkConfig: sinkConfig{
			SMTP: "127.0.0.1:0", SinkHTTP: "127.0.0.1:0", Data: filepath.Join(dir, "data"),
			MaxMessage: 5000, LogLevel: "error", Drain: 5 * time.Second,
		},
		Listen: "127.0.0.1:0", Connection: 8, Retry: "fast",
		accessAlg: tokens.ES256, // an RSA key takes longer than the whole demo
	}
}

type serveCmd struct{ config }

// Run serves until it is told to stop.
func (c serveCmd) Run(e env) error { return serve(e, c.config) }

type sinkCmd struct{ sinkConfig }

// Run serves the sink alone.
func (c sinkCmd) Run(e env) error { return serve(e, config{sinkConfig: c.sinkConfig, sinkOnly: true}) }

// serve builds the object graph, runs it until the context ends, and drains.
func serve(e env, c config) error {
	if c.Ephemeral {
		dir, err := os.MkdirTemp("", "invited-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.Data = filepath.Join(dir, "data")
	}
	a, err := newApp(e.ctx, c, c.log(e))
	if err != nil {
		return err
	}
	a.start()
	if err := a.writeLocalCredential(); err != nil {
		return errors.Join(err, a.stop())
	}
	a.announce(e.stdout)
	notify(a.log, notifyReady)
	return a.wait(e.ctx)
}
