package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// start runs every part.
func (a *app) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.stopWork = cancel
	a.startSink(ctx)
	if a.admin != nil {
		a.runHTTP("admin", a.admin, a.adminListener)
	}
	if a.cfg.sinkOnly {
		return
	}
	a.runHTTP("web", a.web, a.webListener)
	if a.tlsListener != nil {
		a.runHTTP("web over TLS", a.web, a.tlsListener)
	}
	a.run("outbox", func() error { return a.worker.Run(ctx) })
	a.run("wakes", func() error { return a.wakes(ctx) })
	a.run("invitations", func() error { return a.invites.Run(ctx) })
}

// run starts one part; a failure of it ends the program.
func (a *app) run(name string, f func() error) {
	a.group.Go(func() error {
		err := f()
		if err != nil && !errors.Is(err, context.Canceled) && !a.stopped.Load() {
			err = fmt.Errorf("%s: %w", name, err)
			a.failed <- err
			return err
		}
		return nil
	})
}

func (a *app) runHTTP(name string, s *http.Server, l net.Listener) {
	a.run(name, func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// wait blocks until ctx ends or a part fails, then stops.
func (a *app) wait(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-a.failed:
	}
	notify(a.log, notifyStopping)
	return errors.Join(failure, a.stop())
}

// stop drains in the order in which work flows: no new requests, no new
// attempts, no new mail, and only then the storage.
func (a *app) stop() error {
	if a.stopped.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.Drain)
	defer cancel()
	var errs []error
	if a.web != nil {
		errs = append(errs, shutdown(ctx, a.web))
	}
	if a.stopWork != nil {
		a.stopWork()
	}
	if a.worker != nil {
		<-a.worker.Done()
	}
	errs = append(errs, a.stopSink(ctx))
	if a.admin != nil {
		errs = append(errs, a.admin.Close())
	}
	errs = append(errs, a.group.Wait())
	a.release()
	return errors.Join(errs...)
}

// shutdown drains an HTTP server; whoever is still waiting then is cut off.
func shutdown(ctx context.Context, s *http.Server) error {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.Shutdown(short); err != nil {
		return s.Close()
	}
	return nil
}

// ignoreTimeout drops the error of a drain that had to be cut short.
func ignoreTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// release closes what is open, in the reverse order of opening.
func (a *app) release() {
	if a.relays != nil {
		_ = a.relays.Close()
	}
	if a.out != nil {
		_ = a.out.Close()
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error("closing the store failed", slog.Any("err", err))
		}
	}
	if a.sink != nil {
		if err := a.sink.Close(); err != nil {
			a.log.Error("closing the sink failed", slog.Any("err", err))
		}
	}
	for _, l := range []net.Listener{a.webListener, a.tlsListener, a.smtpListener, a.sinkListener, a.imapListener, a.pop3Listener, a.smtpsListener, a.lmtpListener, a.adminListener} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// announce prints what listens where.
func (a *app) announce(w io.Writer) {
	fmt.Fprintln(w, "invited", versionText(), "is ready")
	if !a.cfg.sinkOnly {
		fmt.Fprintf(w, "  pages and API   %s\n", a.URL())
		fmt.Fprintf(w, "  Graph API       %s/v1.0\n", a.URL())
		if a.tlsListener != nil {
			fmt.Fprintf(w, "  the same, TLS   https://%s (trust %s)\n", a.tlsListener.Addr(), a.ca.Path())
		}
	}
	fmt.Fprintf(w, "  caught mail     %s\n  SMTP            %s\n", a.SinkURL(), a.SMTPAddr())
	for _, l := range []struct {
		name string
		net.Listener
	}{{"SMTPS", a.smtpsListener}, {"LMTP", a.lmtpListener}, {"IMAP", a.imapListener}, {"POP3", a.pop3Listener}} {
		if l.Listener != nil {
			fmt.Fprintf(w, "  %-15s %s\n", l.name, l.Addr())
		}
	}
	if a.adminListener != nil {
		fmt.Fprintf(w, "  metrics, state  %s/debug/\n", a.adminURL())
	}
	if a.cfg.Ephemeral {
		fmt.Fprintln(w, "  data            kept nowhere: everything is gone at the end")
	} else {
		fmt.Fprintf(w, "  data            %s\n", a.cfg.Data)
	}
	if a.seeded.New {
		fmt.Fprintf(w, "  credentials     %s (made now; accounts, client id and secret)\n", filepath.Join(a.cfg.Data, credentialsFile))
	}
}
