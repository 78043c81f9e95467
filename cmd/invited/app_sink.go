package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"time"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/mail/sink/imapd"
	"invited/mail/sink/pop3d"
	"invited/mail/sink/smtpd"
	"invited/server"
	"invited/server/devca"
)

// openTLS wraps the TLS listener: with the operator's certificate, or with one
// of the development CA, which also serves the sink's STARTTLS.
func (a *app) openTLS() error {
	if (a.cfg.TLSCert == "") != (a.cfg.TLSKey == "") {
		return &exitError{exitUsage, "--tls-cert and --tls-key belong together: name both or neither"}
	}
	ca, err := devca.Open(a.cfg.Data, devca.Options{Names: publicHosts(a.cfg)})
	if err != nil {
		return err
	}
	a.ca = ca
	if a.tlsListener == nil {
		return nil
	}
	conf := ca.TLSConfig("h2", "http/1.1")
	if a.cfg.TLSCert != "" {
		if conf, err = devca.Load(a.cfg.TLSCert, a.cfg.TLSKey); err != nil {
			return &exitError{exitConfig, "--tls-cert: " + err.Error()}
		}
		conf.NextProtos = []string{"h2", "http/1.1"}
	}
	a.tlsListener = tls.NewListener(a.tlsListener, conf)
	return nil
}

// openSink builds the sink with its listener and faces.
func (a *app) openSink() (err error) {
	settings, err := a.cfg.settings()
	if err != nil {
		return err
	}
	if settings.release, err = a.openRelease(); err != nil {
		return err
	}
	forced, err := a.openForced()
	if err != nil {
		return err
	}
	if a.judging, err = a.cfg.judging(forced); err != nil {
		return err
	}
	if a.sink, err = sink.Open(sink.Options{
		Dir: filepath.Join(a.cfg.Data, "sink"), MaxMessages: a.cfg.MaxMessage, JudgeAll: a.judging.judge.All, Now: a.clock.Now, Log: a.log,
	}); err != nil {
		return err
	}
	set := &faults.Set{Now: a.clock.Now}
	if a.smtp, err = smtpd.New(a.smtpOptions(settings, set)); err != nil {
		return err
	}
	if a.imap, err = imapd.New(imapd.Options{Sink: a.sink, Now: a.clock.Now, Log: a.log}); err != nil {
		return err
	}
	if a.pop3, err = pop3d.New(pop3d.Options{Sink: a.sink, Log: a.log}); err != nil {
		return err
	}
	a.rest = a.newREST(settings, set, forced)
	pages := a.newWebmail(set)
	h, err := server.Handler(server.Options{
		Log: a.log, NewID: newID, WriteError: pages.WriteError,
	}, a.rest, pages)
	if err != nil {
		return err
	}
	a.sinkWeb = server.NewHTTPServer(a.guardSink(h), a.log)
	return nil
}

// startSink runs the sink's listeners.
func (a *app) startSink(ctx context.Context) {
	a.runUntil("smtp", a.smtpListener, a.smtp.Serve, smtpd.ErrServerClosed)
	a.runUntil("smtp over TLS", a.smtpsListener, a.smtp.ServeTLS, smtpd.ErrServerClosed)
	a.runUntil("lmtp", a.lmtpListener, a.smtp.ServeLMTP, smtpd.ErrServerClosed)
	a.runUntil("imap", a.imapListener, a.imap.Serve, imapd.ErrServerClosed)
	a.runUntil("pop3", a.pop3Listener, a.pop3.Serve, pop3d.ErrServerClosed)
	a.runHTTP("sink web", a.sinkWeb, a.sinkListener)
	a.run("sink REST", func() error { return a.rest.Run(ctx) })
	a.run("spam filters", func() error { return a.judging.watch(ctx, a) })
}

// runUntil serves a listener, if there is one, until its server is closed.
func (a *app) runUntil(name string, l net.Listener, serve func(net.Listener) error, closed error) {
	if l == nil {
		return
	}
	a.run(name, func() error {
		if err := serve(l); !errors.Is(err, closed) {
			return err
		}
		return nil
	})
}

// stopSink drains the sink's listeners. Clients that stay connected, as mail
// programs do, are cut off.
func (a *app) stopSink(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return errors.Join(
		shutdown(ctx, a.sinkWeb), ignoreTimeout(a.imap.Shutdown(short)), ignoreTimeout(a.pop3.Shutdown(short)),
		ignoreTimeout(a.smtp.Shutdown(ctx)),
	)
}
