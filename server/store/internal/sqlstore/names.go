package sqlstore

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"invited/server/directory"
)

// What a name is to its user. One name may be several of them.
const (
	kindMail  = 1
	kindOther = 2
	kindProxy = 4
	kindUPN   = 8
)

// firstHolder sorts after the holder of a live user's name, which is empty,
// and before every user id.
const firstHolder = "\x01"

// names is every name a user can be found by, with what it is to the user.
type names map[string]int64

func namesOf(u directory.User) names {
	n := names{}
	n.put(u.Mail, kindMail)
	for _, a := range u.OtherMails {
		n.put(a, kindOther)
	}
	for _, a := range u.ProxyAddresses {
		if scheme, addr, ok := strings.Cut(a, ":"); ok && strings.EqualFold(scheme, "smtp") {
			n.put(addr, kindProxy)
		}
	}
	n.put(u.UPN, kindUPN)
	return n
}

func (n names) put(name string, kind int64) {
	if name != "" {
		n[key(name)] |= kind
	}
}

// String is the form in which a user row remembers its names: "kinds name",
// one a line, sorted.
func (n names) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strconv.FormatInt(n[name], 10) + " " + name)
	}
	return b.String()
}

// holder is who holds a name: nobody in particular while the user is live, so
// that the primary key lets no second live user have it.
func holder(live bool, id string) string {
	if live {
		return ""
	}
	return id
}

// takeNames inserts a user's names. The engine refuses one that another live
// user has.
func takeNames(u directory.User, n names) step {
	rows := make([]insertAddressParams, 0, len(n))
	for _, name := range slices.Sorted(maps.Keys(n)) {
		rows = append(rows, insertAddressParams{
			Tenant: string(u.Tenant), AddressKey: name, Holder: holder(u.Deleted.IsZero(), string(u.ID)),
			UserID: string(u.ID), Kinds: n[name],
		})
	}
	return func(ctx context.Context, q *Queries) error {
		for _, row := range rows {
			if err := q.insertAddress(ctx, row); err != nil {
				return err
			}
		}
		return nil
	}
}

// dropNames deletes the names a stored user row says it has.
func dropNames(ctx context.Context, q *Queries, tenant, user string, old userLockRow) error {
	for line := range strings.SplitSeq(old.AddressKeys, "\n") {
		_, name, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		err := q.deleteAddress(ctx, deleteAddressParams{Tenant: tenant, AddressKey: name, Holder: holder(old.Live != 0, user)})
		if err != nil {
			return err
		}
	}
	return nil
}
