package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"invited/mail/outbox"
	"invited/mail/sink"
	"invited/mail/sink/imapd"
	"invited/mail/sink/pop3d"
	"invited/mail/sink/smtpd"
	"invited/mail/smtpout"
	"invited/server"
	"invited/server/api"
	"invited/server/devca"
	"invited/server/directory"
	"invited/server/graph"
	"invited/server/guest"
	"invited/server/invite"
	"invited/server/letters"
	"invited/server/mailpit"
	"invited/server/oauth"
	"invited/server/session"
	"invited/server/store"
	"invited/server/tenant"
	"invited/tokens"
)

// app is the running program: every part, built once by [newApp].
type app struct {
	cfg   config
	log   *slog.Logger
	clock *clock
	ca    *devca.CA

	webListener, tlsListener, smtpListener, sinkListener, imapListener, pop3Listener, smtpsListener, lmtpListener, adminListener net.Listener

	store   store.Store
	sink    *sink.Sink
	judging judging
	smtp    *smtpd.Server
	imap    *imapd.Server
	pop3    *pop3d.Server
	rest    *mailpit.Handler // of the sink
	relays  *smtpout.Failover
	out     *smtpout.Pool // of released mail; nil: no mail leaves the sink
	worker  *outbox.Worker
	alarms  outbox.Alarms
	invites *invite.Service
	tenants *tenant.Service
	seeded  tenant.Credentials
	web     *http.Server
	sinkWeb *http.Server
	admin   *http.Server // nil: nobody asked for it
	watch   *watch

	mailPlan   mailPlan
	credential string // local bearer token, in DIR/cli.json
	group      errgroup.Group
	failed     chan error         // the first listener or worker that ended by itself
	stopWork   context.CancelFunc // ends the workers
	stopped    atomic.Bool
}

// clock is the one source of "now". Only clock control moves it.
type clock struct{ offset atomic.Int64 }

// Now returns the time, advanced by what tests asked for.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance moves the clock forward.
func (c *clock) Advance(d time.Duration) time.Time {
	c.offset.Add(int64(d))
	return c.Now()
}

// newID returns a UUIDv7: ids sort by time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// randomText returns n random bytes in hex.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b)
}

// newApp builds the object graph; it is the only place that does. Ports are
// taken first, so that a second server on them changes nothing.
func newApp(ctx context.Context, cfg config, log *slog.Logger) (_ *app, err error) {
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	a := &app{mailPlan: plan, cfg: cfg, watch: newWatch(), clock: &clock{}, failed: make(chan error, 8), credential: randomText(32)}
	a.log = a.watch.logger(log)
	defer func() {
		if err != nil {
			a.release()
		}
	}()
	if err := a.listen(ctx); err != nil {
		return nil, err
	}
	if err := makeDataDir(cfg.Data); err != nil {
		return nil, err
	}
	if err := a.openTLS(); err != nil {
		return nil, err
	}
	if err := a.openSink(); err != nil {
		return nil, err
	}
	if !cfg.sinkOnly {
		if err := a.openServer(ctx); err != nil {
			return nil, err
		}
	}
	a.openAdmin()
	return a, nil
}

// listen takes the ports.
func (a *app) listen(ctx context.Context) error {
	wanted := []struct {
		flag, addr string
		to         *net.Listener
	}{
		{"--smtp", a.cfg.SMTP, &a.smtpListener}, {"--sink-http", a.cfg.SinkHTTP, &a.sinkListener}, {"--listen", a.cfg.Listen, &a.webListener},
		{"--tls-listen", a.cfg.TLSListen, &a.tlsListener}, {"--imap", a.cfg.IMAP, &a.imapListener}, {"--pop3", a.cfg.POP3, &a.pop3Listener},
		{"--smtps", a.cfg.SMTPS, &a.smtpsListener}, {"--lmtp", a.cfg.LMTP, &a.lmtpListener}, {"--admin", a.cfg.Admin, &a.adminListener},
	}
	for _, w := range wanted {
		if w.addr == "" {
			continue
		}
		if err := loopbackOnly(w.flag, w.addr); err != nil {
			return err
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.addr)
		if err != nil {
			return &exitError{exitFailed, fmt.Sprintf("%s: cannot listen on %s: %v; is another server running there? Port 0 picks a free one", w.flag, w.addr, errors.Unwrap(err))}
		}
		*w.to = l
	}
	return nil
}

// makeDataDir makes the data directory, or refuses one that others can read.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &exitError{exitFailed, fmt.Sprintf("--data: cannot make %s: %v", dir, err)}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &exitError{exitUsage, fmt.Sprintf("--data: %s is not a directory", dir)}
	}
	return checkPrivate(dir, info)
}

// openServer builds the tenant, the sender and their faces.
func (a *app) openServer(ctx context.Context) error {
	var err error
	if a.store, err = a.cfg.openStore(ctx, a.log, a.clock.Now, a.watch.committed); err != nil {
		return err
	}
	if a.tenants, err = tenant.New(tenant.Options{Store: watchedStore{a.store, a.log, a.watch}, Now: a.clock.Now, NewID: newID}); err != nil {
		return err
	}
	if err := alone(ctx, a.store, func() error { return a.seed(ctx) }); err != nil {
		return err
	}
	if err := a.openOutbox(); err != nil {
		return err
	}
	tickets, access, err := a.openKeys()
	if err != nil {
		return err
	}
	if err := a.openInvites(tickets); err != nil {
		return err
	}
	return a.openFaces(ctx, tickets, access)
}

// ring is a keyring with the issuer that uses it.
type ring struct {
	keys    *tokens.Keyring
	issuer  *tokens.Issuer
	optOuts *tokens.Issuer // of links to block invitations
}

// issuerName is the "iss" of tickets.
const issuerName = "urn:invited:tickets"

// openKeys opens the keys of tickets and of access tokens, which never mix.
func (a *app) openKeys() (ring, *accessRing, error) {
	passphrase := os.Getenv("INVITED_KEY_PASSPHRASE")
	dir := filepath.Join(a.cfg.Data, "keys")
	var t ring
	var err error
	if t.keys, err = tokens.OpenKeyring(filepath.Join(dir, "tickets"), tokens.KeyringOptions{Passphrase: passphrase, Now: a.clock.Now}); err != nil {
		return t, nil, err
	}
	if t.issuer, err = tokens.NewIssuer(tokens.Options{Name: issuerName, Keys: t.keys, Now: a.clock.Now}); err != nil {
		return t, nil, err
	}
	if t.optOuts, err = tokens.NewOptOutIssuer(tokens.Options{Name: issuerName, Keys: t.keys, Now: a.clock.Now}); err != nil {
		return t, nil, err
	}
	alg := a.cfg.accessAlg
	if alg == "" {
		alg = tokens.RS256 // what every OpenID client can verify
	}
	acc := &accessRing{}
	if acc.keys, err = tokens.OpenKeyring(filepath.Join(dir, "access"), tokens.KeyringOptions{
		Alg: alg, Passphrase: passphrase, Longest: 24 * time.Hour, Background: true, Now: a.clock.Now,
	}); err != nil {
		return t, nil, err
	}
	acc.issuer, err = tokens.NewAccessIssuer(tokens.Options{Name: a.URL(), Keys: acc.keys, Now: a.clock.Now})
	return t, acc, err
}

// accessRing is the keyring of access tokens with its issuer.
type accessRing struct {
	keys   *tokens.Keyring
	issuer *tokens.AccessIssuer
}

// openInvites builds the service the product is about.
func (a *app) openInvites(keys ring) error {
	emulator := a.cfg.Relay == ""
	options := letterOptions(a.cfg, a.mailPlan, a.clock.Now)
	options.BlockURL = a.blockURL
	signer, err := a.cfg.newSigner(a.cfg.Sender)
	if err != nil {
		return err
	}
	if signer != nil {
		options.Sign = signer
	}
	write, err := letters.New(options)
	if err != nil {
		return err
	}
	codeKey, err := codeKey(a.cfg.Data)
	if err != nil {
		return err
	}
	linkTries := a.cfg.LinkTries
	if linkTries == 0 && emulator {
		linkTries = 100 * invite.DefaultFailedLinks // tests break more links than people do
	}
	a.invites, err = invite.New(invite.Options{
		Store: watchedStore{a.store, a.log, a.watch}, Tickets: tickets{keys.issuer}, OptOuts: tickets{keys.optOuts}, Letters: write, Mailboxes: mailboxes{a.sink}, RedeemURL: a.redeemURL,
		CodeKey: codeKey, FailedLinks: linkTries,
		Now: a.clock.Now, NewID: newID, Wake: a.worker.Wake, Mode: a.mode(),
	})
	return err
}

// redeemURL returns the link that carries a ticket, in the form of Entra's.
func (a *app) redeemURL(t directory.TenantID, id invite.ID, ticket string) string {
	return a.URL() + "/redeem?tenant=" + url.QueryEscape(string(t)) + "&user=" + url.QueryEscape(string(id)) + "&ticket=" + url.QueryEscape(ticket) + "&ver=2.0"
}

// blockURL returns the link by which a guest blocks further invitations.
func (a *app) blockURL(l invite.LetterData) string {
	ticket := a.invites.OptOut(l)
	if ticket == "" {
		return ""
	}
	return a.URL() + "/block?ticket=" + url.QueryEscape(ticket)
}

// openFaces builds the HTTP side of the server.
func (a *app) openFaces(ctx context.Context, t ring, acc *accessRing) error {
	hash := sha256.Sum256([]byte(a.credential))
	cookieKey, err := loadCookieKey(a.cfg.Data)
	if err != nil {
		return err
	}
	home, err := a.store.Tenant(ctx, a.seeded.Tenant)
	if err != nil {
		return err
	}
	sessions, err := session.New(session.Options{
		Store: a.store, Access: acc.issuer, CookieKey: cookieKey,
		LocalSecretHash: hash[:], LocalTenant: home.ID, LocalUPN: "admin@" + home.PrimaryDomain,
		Now: a.clock.Now, NewID: newID,
	})
	if err != nil {
		return err
	}
	invitations := watchedInvites{a.invites, a.watch}
	pages := &guest.Handler{
		Invitations: invitations, Cookies: sessions, Tenant: a.seeded.Tenant, Now: a.clock.Now,
		NewCSRF: func() string { return randomText(16) }, Log: a.log,
	}
	own := &api.Handler{
		Alarms:      a.alarms.List,
		Invitations: invitations, Tenants: a.tenants, Sessions: sessions, Keys: t.keys, Tenant: a.seeded.Tenant, NewSession: func() string { return randomText(16) }, Log: a.log, Now: a.clock.Now,
	}
	if a.cfg.Clock {
		own.Advance = a.clock.Advance
	}
	faces := []server.Surface{
		pages, own,
		&graph.Handler{Invitations: a.invites, Tenants: a.tenants, Sessions: sessions, Log: a.log, Now: a.clock.Now},
		&oauth.Handler{Sessions: sessions, Tenants: a.tenants, AccessKeys: acc.keys, TicketKeys: t.keys, Log: a.log, Now: a.clock.Now, NotFound: pages.NotFound()},
	}
	h, err := server.Handler(server.Options{
		Log: a.log, NewID: newID, Hosts: publicHosts(a.cfg), WriteError: pages.WriteError, Ready: a.store.Ping,
	}, faces...)
	if err != nil {
		return err
	}
	a.web = server.NewHTTPServer(h, a.log)
	return nil
}

// publicHosts are the names guests reach the server by.
func publicHosts(c config) []string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	return []string{u.Hostname()}
}

// URL is where pages and API are reached.
func (a *app) URL() string {
	if a.cfg.PublicURL != "" {
		return a.cfg.PublicURL
	}
	return "http://" + a.webListener.Addr().String()
}

// SinkURL is where the sink's pages and REST interface are reached.
func (a *app) SinkURL() string { return "http://" + a.sinkListener.Addr().String() }

// SMTPAddr is host and port of the sink's SMTP listener.
func (a *app) SMTPAddr() string { return a.smtpListener.Addr().String() }

// localToken is the bearer token of the local credential.
func (a *app) localToken() string { return a.credential }

// seed makes the tenant at the first start and writes the credentials.
func (a *app) seed(ctx context.Context) error {
	var err error
	o := tenant.SeedOptions{Password: a.cfg.Password, ClientSecret: a.cfg.Secret, Keep: func(c tenant.Credentials) error {
		return writePrivate(filepath.Join(a.cfg.Data, credentialsFile), credentialsJSON(c))
	}}
	if a.mailPlan.people {
		o.Limits = &directory.DefaultLimits
	}
	if a.seeded, err = a.tenants.Seed(ctx, o); err != nil {
		return err
	}
	home, err := a.store.Tenant(ctx, a.seeded.Tenant)
	if err != nil {
		return err
	}
	return a.mailPlan.checkTenant(home.DisplayName)
}

// writeLocalCredential writes DIR/cli.json, for client verbs.
func (a *app) writeLocalCredential() error {
	c := localCredential{Sink: a.SinkURL(), SinkLogin: a.rest.Login != nil, SMTP: a.SMTPAddr(), Token: a.credential, Admin: a.adminURL()}
	if !a.cfg.sinkOnly {
		c.Server, c.Tenant = a.URL(), string(a.seeded.Tenant)
	}
	return writePrivate(filepath.Join(a.cfg.Data, credentialFile), c)
}

// writePrivate writes v as JSON with mode 0600, whole or not at all.
func writePrivate(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
