package invite_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

// codeRig is a tenant whose guests sign in by code.
func codeRig(t testing.TB, edit ...func(*invite.Options)) *rig {
	t.Helper()
	r := newRig(t, append([]func(*invite.Options){withCodes}, edit...)...)
	r.store.policy.Fallback = directory.FallbackOTP
	return r
}

func withCodes(o *invite.Options) { o.CodeKey = []byte("01234567890123456789012345678901") }

// ask has a code mailed and returns it.
func (r *rig) ask(c invite.Claims, session string) string {
	r.t.Helper()
	_, err := r.AskCode(r.t.Context(), c, session)
	require.NoError(r.t, err)
	return r.lastCode()
}

// lastCode is the code in the newest mail.
func (r *rig) lastCode() string {
	l := r.store.letters[len(r.store.letters)-1]
	require.Equal(r.t, invite.LetterCode, l.Kind)
	return string(l.Message.Raw)
}

// another returns a code that is not this one.
func another(code string) string {
	if code == "00000000" {
		return "00000001"
	}
	return "00000000"
}

func TestSigningInByCode(t *testing.T) {
	r := codeRig(t)
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	require.Equal(t, directory.MethodOTP, red.SignIn.Method)
	require.Len(t, r.store.letters, 1, "opening a link mails no code")

	code := r.ask(red.Claims, "session")
	require.Regexp(t, `^[0-9]{8}$`, code)
	require.Equal(t, 1, r.store.count(audit.SendPasscode))
	for _, p := range r.store.passcodes {
		require.NotContains(t, fmt.Sprint(p), code, "the code is not kept")
		require.NotContains(t, fmt.Sprint(p), "session", "nor is the session")
	}
	for _, e := range r.store.events {
		require.NotContains(t, fmt.Sprint(e), code)
	}

	_, err = r.TryCode(t.Context(), red.Claims, "session", another(code), "net")
	requireReason(t, err, problem.Denied, problem.CodeWrong)
	_, err = r.TryCode(t.Context(), red.Claims, "another session", code, "net")
	requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	_, err = r.TryCode(t.Context(), red.Claims, "session", " "+code[:4]+" "+code[4:]+"\u00a0", "net")
	require.NoError(t, err, "as people type it")
	_, err = r.TryCode(t.Context(), red.Claims, "session", code, "net")
	requireReason(t, err, problem.Denied, problem.CodeUsedUp)

	out, err := r.Accept(t.Context(), red.Claims, directory.MethodOTP)
	require.NoError(t, err)
	require.Equal(t, "mail", out.Guest.Identities[0].Issuer)
}

func TestACodeIsNotAskedForByOthers(t *testing.T) {
	r := newRig(t, withCodes)
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	_, err = r.AskCode(t.Context(), red.Claims, "session")
	requireReason(t, err, problem.Conflict, problem.SessionExpired)
	_, err = r.TryCode(t.Context(), red.Claims, "session", "00000000", "net")
	requireReason(t, err, problem.Conflict, problem.SessionExpired)
	r.store.policy.Fallback = directory.FallbackOTP
	_, err = r.AskCode(t.Context(), red.Claims, "")
	require.True(t, problem.Is(err, problem.Internal), "no session, no code")
	_, err = r.Revoke(t.Context(), admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	_, err = r.AskCode(t.Context(), red.Claims, "session")
	requireReason(t, err, problem.Gone, problem.LinkRevoked)
	require.Len(t, r.store.letters, 1)
}

func TestSixWrongCodesKillTheCode(t *testing.T) {
	r := codeRig(t)
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	code := r.ask(red.Claims, "session")
	for left := 4; left > 0; left-- {
		_, err = r.TryCode(t.Context(), red.Claims, "session", another(code), "net")
		requireReason(t, err, problem.Denied, problem.CodeWrong)
		require.ErrorIs(t, err, invite.TriesLeft(left))
	}
	for range 2 {
		_, err = r.TryCode(t.Context(), red.Claims, "session", another(code), "net")
		requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	}
	_, err = r.TryCode(t.Context(), red.Claims, "session", code, "net")
	requireReason(t, err, problem.Denied, problem.CodeUsedUp)
}

func TestOfTwoCodesTheFirstIsDead(t *testing.T) {
	r := codeRig(t)
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	first := r.ask(red.Claims, "session")
	second := r.ask(red.Claims, "session")
	require.NotEqual(t, first, second)
	_, err = r.TryCode(t.Context(), red.Claims, "session", first, "net")
	requireReason(t, err, problem.Denied, problem.CodeWrong)
	_, err = r.TryCode(t.Context(), red.Claims, "session", second, "net")
	require.NoError(t, err)
}

func TestCodesLiveAsLongAsThePolicySays(t *testing.T) {
	for _, lifetime := range []time.Duration{0, 30 * time.Minute} {
		r := codeRig(t)
		r.store.policy.CodeLifetime = lifetime
		want := max(lifetime, directory.DefaultCodeLifetime)
		red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
		require.NoError(t, err)
		code := r.ask(red.Claims, "early")
		r.advance(want - time.Second)
		_, err = r.TryCode(t.Context(), red.Claims, "early", code, "net")
		require.NoError(t, err)
		code = r.ask(red.Claims, "late")
		r.advance(want)
		_, err = r.TryCode(t.Context(), red.Claims, "late", code, "net")
		requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	}
}

func TestCodeLimits(t *testing.T) {
	r := codeRig(t)
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	for range 5 {
		r.ask(red.Claims, "session")
	}
	_, err = r.AskCode(t.Context(), red.Claims, "another session")
	requireReason(t, err, problem.TooMany, problem.TooManyTries)
	require.Equal(t, time.Hour, problem.Of(err).RetryAfter)
	r.advance(time.Hour)
	code := r.ask(red.Claims, "session")

	for i := range 20 {
		_, err = r.TryCode(t.Context(), red.Claims, fmt.Sprint("guess ", i), "00000000", "net")
		requireReason(t, err, problem.Denied, problem.CodeUsedUp)
	}
	_, err = r.TryCode(t.Context(), red.Claims, "session", code, "net")
	requireReason(t, err, problem.TooMany, problem.TooManyTries)
	_, err = r.TryCode(t.Context(), red.Claims, "session", code, "another network")
	require.NoError(t, err)
	_, err = r.TryCode(t.Context(), red.Claims, "session", "not a code", "net")
	requireReason(t, err, problem.Invalid, problem.CodeWrong)
}

func TestCodesDoNotCountAsInvitations(t *testing.T) {
	r := codeRig(t)
	r.store.policy.Limits = directory.Limits{RecipientPer5Min: 2}
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	r.ask(red.Claims, "session")
	r.ask(red.Claims, "session")
	_, err = r.Resend(t.Context(), admin(), "ana@fabrikam.example", invite.Edit{})
	require.NoError(t, err)
	d, err := r.Diagnose(t.Context(), admin(), "ana@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, problem.MailQueued, d.Reason, "the invitation is what the guest waits for")
}

func TestOnDiskOneOfManyRightTriesIsRight(t *testing.T) {
	r, db := onDisk(t, withCodes)
	p, err := db.Policy(t.Context(), contoso)
	require.NoError(t, err)
	p.Fallback = directory.FallbackOTP
	require.NoError(t, db.ApplyDirectory(t.Context(), directory.Change{Tenant: contoso, Policy: &p}))
	var code string
	red, err := r.open(r.invite("ana@fabrikam.example").RedeemURL)
	require.NoError(t, err)
	_, err = r.AskCode(t.Context(), red.Claims, "session")
	require.NoError(t, err)
	items, err := db.ClaimMail(t.Context(), "w", r.now(), time.Minute, 9)
	require.NoError(t, err)
	for _, item := range items {
		if strings.HasPrefix(item.Message.MessageID, "code.") {
			code = string(item.Message.Raw)
		}
	}
	require.Len(t, code, invite.CodeDigits)
	var right atomic.Int64
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			if _, err := r.TryCode(context.Background(), red.Claims, "session", code, "net"); err == nil {
				right.Add(1)
			}
		})
	}
	done.Wait()
	require.EqualValues(t, 1, right.Load(), "a code is good once")
}
