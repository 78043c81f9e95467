package smtpd

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"invited/mail/sink/faults"
)

// Logins are user names with their passwords. They are safe for concurrent use.
type Logins struct {
	list []login

	mu    sync.Mutex // one hash at a time: each takes much memory
	right map[[sha256.Size]byte]bool
}

type login struct {
	user [sha256.Size]byte
	pass [sha256.Size]byte // of a password in clear
	hash string            // argon2id; empty: pass counts
}

// ParseLogins reads a password file: one "user:password" a line, where the
// password is in clear or an argon2id hash in its usual form ($argon2id$v=19$…).
// Empty lines and lines that begin with # are passed over. An error names the
// line, never what is in it. A file with nobody in it is an error.
func ParseLogins(data []byte) (*Logins, error) {
	l := &Logins{right: map[[sha256.Size]byte]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		one, err := parseLogin(line)
		if err != nil {
			return nil, fmt.Errorf("smtpd: line %d %w", n, err)
		}
		for _, other := range l.list {
			if other.user == one.user {
				return nil, fmt.Errorf("smtpd: line %d names a user who was named before", n)
			}
		}
		l.list = append(l.list, one)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("smtpd: %w", err)
	}
	if len(l.list) == 0 {
		return nil, fmt.Errorf("smtpd: there is nobody in it; a line is user:password")
	}
	return l, nil
}

func parseLogin(line string) (login, error) {
	user, password, ok := strings.Cut(line, ":")
	switch {
	case !ok || user == "" || password == "":
		return login{}, fmt.Errorf("is not user:password")
	case !utf8.ValidString(line):
		return login{}, fmt.Errorf("is not UTF-8")
	case strings.HasPrefix(password, "$argon2id$"):
		if _, _, _, err := argon2id.DecodeHash(password); err != nil {
			return login{}, fmt.Errorf("has an argon2id hash that cannot be read")
		}
		return login{user: sha256.Sum256([]byte(user)), hash: password}, nil
	case strings.HasPrefix(password, "$2"), strings.HasPrefix(password, "$apr1$"), strings.HasPrefix(password, "{SHA}"):
		return login{}, fmt.Errorf("has a hash of another kind; use argon2id, or the password itself")
	}
	return login{user: sha256.Sum256([]byte(user)), pass: sha256.Sum256([]byte(password))}, nil
}

// Match reports whether the password is the user's. How long it takes tells
// nothing about the passwords of others, nor whether there is such a user.
func (l *Logins) Match(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	ok, hash, strange := 0, "", ""
	for _, one := range l.list {
		same := subtle.ConstantTimeCompare(one.user[:], u[:])
		switch {
		case one.hash == "":
			ok |= same & subtle.ConstantTimeCompare(one.pass[:], p[:])
		case same == 1:
			hash = one.hash
		default:
			strange = one.hash
		}
	}
	switch {
	case ok == 1:
		return true
	case hash != "":
		return l.matchHash(hash, password)
	case strange != "":
		l.matchHash(strange, "") // takes as long as for a user there is
	}
	return false
}

// matchHash remembers what was right, because a web page asks for each of its
// parts.
func (l *Logins) matchHash(hash, password string) bool {
	key := sha256.Sum256([]byte(hash + "\x00" + password))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.right[key] {
		return true
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if ok && err == nil {
		l.right[key] = true // at most one for each user
	}
	return ok && err == nil
}

// AuthMechanisms lists what is offered.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth serves AUTH (RFC 4954). A password is checked and dropped.
func (s *session) Auth(mech string) (sasl.Server, error) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	if open {
		return nil, reply(503, smtp.EnhancedCode{5, 5, 1}, "AUTH is not possible inside a message")
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return s.login(user, password) }), nil
	case sasl.Login:
		return &loginServer{done: s.login}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// login lets a user in, or says why not.
func (s *session) login(user, password string) error {
	if err := s.fault(faults.Auth, "", ""); err != nil {
		return err
	}
	if s.srv.opts.Login != nil && !s.srv.opts.Login(user, password) {
		return reply(535, smtp.EnhancedCode{5, 7, 8}, "user name or password is wrong")
	}
	s.user, s.gate.authed = user, true
	return nil
}

// loginServer speaks the LOGIN mechanism, which old clients prefer.
type loginServer struct {
	step int
	user string
	done func(user, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.step == 0 && response == nil {
		l.step = 1
		return []byte("Username:"), false, nil
	}
	switch l.step {
	case 0, 1:
		l.user, l.step = string(response), 2
		return []byte("Password:"), false, nil
	case 2:
		l.step = 3
		return nil, true, l.done(l.user, string(response))
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}
