package invite

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// The limits of one-time passcodes. A guesser has 25 tries an hour at an
// address, each with a chance of one in a hundred million.
const (
	CodeDigits      = 8
	codeTries       = 5 // per code
	codesPerHour    = 5 // per address
	codeTriesPerNet = 20
	codeWindow      = time.Hour
)

// randomCode returns the digits of a passcode, all equally likely.
func randomCode() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(100_000_000)) // never fails (crypto/rand since Go 1.24)
	return fmt.Sprintf("%0*d", CodeDigits, n)
}

// AskCode mails a passcode to the invited address. It is good for the session
// that asked, an id that nobody can guess, and takes the place of the one that
// session asked for before. Only a guest who signs in by code gets one.
func (s *Service) AskCode(ctx context.Context, c Claims, session string) (Redemption, error) {
	const op = "invite.AskCode"
	r, err := s.judgeForCode(ctx, op, c)
	if err != nil {
		return r, err
	}
	return r, s.mailCode(ctx, op, codeOrder{session: session, purpose: ToRedeem, tenant: r.Tenant, guest: r.Guest, inv: r.Invitation})
}

// TryCode tells whether code is the one that session asked for. Then it is used
// up, and the guest has signed in by [directory.MethodOTP]. from is the network
// that tries are counted for.
func (s *Service) TryCode(ctx context.Context, c Claims, session, code, from string) (Redemption, error) {
	const op = "invite.TryCode"
	r, err := s.judgeForCode(ctx, op, c)
	if err != nil {
		return r, err
	}
	return r, s.tryCode(ctx, op, codeOrder{session: session, purpose: ToRedeem, tenant: r.Tenant, guest: r.Guest, inv: r.Invitation}, code, from)
}

// judgeForCode is judge for guests who sign in by code.
func (s *Service) judgeForCode(ctx context.Context, op string, c Claims) (Redemption, error) {
	r, err := s.judge(ctx, op, c, false)
	if err == nil && r.SignIn.Method != directory.MethodOTP {
		err = &problem.Error{Op: op, Kind: problem.Conflict, Reason: problem.SessionExpired,
			Detail: "No code is asked for here any more. Open the link in the mail again."}
	}
	return r, err
}

// A codeOrder is what a passcode is bound to.
type codeOrder struct {
	session string
	purpose Purpose
	tenant  directory.Tenant
	guest   directory.User
	inv     Invitation
}

// key is the row's key: whoever reads the table cannot make a session of it.
func (o codeOrder) key() string {
	sum := sha256.Sum256([]byte(o.session))
	return hex.EncodeToString(sum[:])
}

// mac binds a code to tenant, session, purpose and address.
func (o codeOrder) mac(key []byte, code string) string {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{string(o.tenant.ID), o.session, string(o.purpose), o.inv.Email.Key(), code} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// mailCode queues a mail with a new code.
func (s *Service) mailCode(ctx context.Context, op string, o codeOrder) error {
	if o.session == "" || len(s.codeKey) == 0 {
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "internal error", Err: fmt.Errorf("no session or no key for codes")}
	}
	sc, err := s.scene(ctx, op, o.tenant.ID)
	if err != nil {
		return err
	}
	wait, err := s.store.Throttle(ctx, o.tenant.ID, Throttle{Bucket: "code:" + o.inv.Email.LimitKey(), Limit: codesPerHour, Window: codeWindow, Now: sc.now})
	switch {
	case err != nil:
		return storeProblem(op, err)
	case wait > 0:
		return tooManyTries(op, wait, fmt.Sprintf("No more than %d codes an hour are mailed to one address.", codesPerHour))
	}
	lifetime := sc.policy.CodeLifetime
	if lifetime == 0 {
		lifetime = directory.DefaultCodeLifetime
	}
	code, id := s.newCode(), s.newID()
	m, err := s.letters.Code(ctx, CodeData{
		ID: id, Tenant: o.tenant, Guest: o.guest, Invitation: o.inv, Code: code, Purpose: o.purpose, Lifetime: lifetime, Now: sc.now,
	})
	if err != nil {
		return letterProblem(op, err)
	}
	w := s.scribeForGuest(o.tenant.ID, o.inv.Email, sc.now)
	return s.apply(ctx, op, func(int) (*Change, error) {
		return &Change{
			Change: directory.Change{Tenant: o.tenant.ID, Audit: []audit.Event{
				w.event(audit.SendPasscode, o.guest, o.inv, map[string]string{"purpose": string(o.purpose)}),
			}},
			Passcode: &Passcode{Session: o.key(), Purpose: o.purpose, Invitation: o.inv.ID, MAC: o.mac(s.codeKey, code), Expires: sc.now.Add(lifetime)},
			// Codes have limits of their own, so they do not count as
			// invitations to the mailbox.
			Mail: []Letter{{ID: id, Invitation: o.inv.ID, User: o.guest.ID, Inviter: string(o.guest.ID), Kind: LetterCode, Message: m, LimitKey: "code:" + o.inv.Email.LimitKey(), Queued: sc.now}},
		}, nil
	})
}

// tryCode tries a code as somebody typed it.
func (s *Service) tryCode(ctx context.Context, op string, o codeOrder, typed, from string) error {
	code := strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(typed)
	if len(code) != CodeDigits || strings.Trim(code, "0123456789") != "" {
		return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.CodeWrong, Field: "code",
			Detail: fmt.Sprintf("A code has %d digits. Type the one in the newest mail.", CodeDigits)}
	}
	now := s.now()
	out, err := s.store.TryPasscode(ctx, o.tenant.ID, PasscodeTry{
		Session: o.key(), Purpose: o.purpose, MAC: o.mac(s.codeKey, code), Now: now, MaxTries: codeTries,
		Throttle: Throttle{Bucket: "try:" + from, Limit: codeTriesPerNet, Window: codeWindow, Now: now},
	})
	switch {
	case err != nil:
		return storeProblem(op, err)
	case out.Right:
		return nil
	case out.Wait > 0:
		return tooManyTries(op, out.Wait, fmt.Sprintf("No more than %d wrong codes an hour are taken from one network.", codeTriesPerNet))
	case out.Left > 0:
		return &problem.Error{Op: op, Kind: problem.Denied, Reason: problem.CodeWrong, Field: "code", Err: TriesLeft(out.Left),
			Detail: fmt.Sprintf("This is not the code that was mailed. Tries left: %d.", out.Left)}
	default:
		return &problem.Error{Op: op, Kind: problem.Denied, Reason: problem.CodeUsedUp, Field: "code",
			Detail: "There is no code to try any more: it was used, is past its time, was tried too often, or was asked for in another browser. Ask for a new one."}
	}
}

// TriesLeft is the cause of a CodeWrong problem: how often the same code may
// still be tried.
type TriesLeft int

// Error says so.
func (n TriesLeft) Error() string { return fmt.Sprintf("invite: %d tries left", int(n)) }

// tooManyTries returns a TooMany problem.
func tooManyTries(op string, wait time.Duration, detail string) error {
	return &problem.Error{Op: op, Kind: problem.TooMany, Reason: problem.TooManyTries, RetryAfter: wait,
		Detail: detail + " Try again in " + inWords(wait) + "."}
}

// CodeData is everything a mail with a passcode says.
type CodeData struct {
	ID         string // of the queue row; Message-ID follows from it
	Tenant     directory.Tenant
	Guest      directory.User
	Invitation Invitation // its address is the recipient
	Code       string
	Purpose    Purpose
	Lifetime   time.Duration
	Now        time.Time
}

// BlockKey is what a block is kept under: the address in lower case without
// what follows a plus sign, which is the same person's.
func BlockKey(a mail.Address) string {
	local, _, _ := strings.Cut(a.Local, "+")
	if local == "" {
		local = a.Local
	}
	return mail.Address{Local: local, Domain: a.Domain}.Key()
}
