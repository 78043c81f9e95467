package templates

import "unicode"

// Organization is the inviting tenant as the head of a guest page shows it.
type Organization struct {
	Name   string
	Domain string
}

// Initial is the letter on the badge.
func (o Organization) Initial() string { return initial(o.Name) }

// initial returns the first letter or digit of s in upper case.
func initial(s string) string {
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "·"
}

// Guest is what every guest page has.
type Guest struct {
	Heading      string // the h1, and the start of the title
	Organization Organization
	Wide         bool
	CSRF         string // value of the hidden form field
}

// ReviewPage is the consent page, Review permissions.
type ReviewPage struct {
	Guest
	Address    string // of the guest
	PrivacyURL string // empty: the page says that there is none
}

// SignInPage is the simulated sign-in at a home organisation.
type SignInPage struct {
	Guest
	Address    string
	Home       string // name or domain of the home organisation
	JustInTime bool   // the account is made now
}

// RefusedPage says why a link does not work, and what to do.
type RefusedPage struct {
	Guest
	Reason    Reason
	Code      string // the reason, for support
	RequestID string
	OfferLink bool   // offer "send me a new link"
	Retry     string // path to try again at; empty: no offer
}

// NewLinkPage asks for the address to mail a new link to.
type NewLinkPage struct {
	Guest
	Tenant  string
	Address string
	Sent    bool   // the answer, the same for everyone
	Problem string // what is wrong with the address as typed
}

// DeclinedPage confirms Cancel.
type DeclinedPage struct{ Guest }

// LeavePage names the foreign host an accepted guest is about to go to.
type LeavePage struct {
	Guest
	Host string
	URL  string
}

// MyAppsPage lists a guest's apps.
type MyAppsPage struct {
	Guest
	Address      string
	JustAccepted bool
	Apps         []AppTile
}

// AppTile is one app on My Apps.
type AppTile struct {
	Name string
	URL  string // empty: the tile is not a link
}

// Initial is the letter on the badge.
func (a AppTile) Initial() string { return initial(a.Name) }

// MessagePage is a heading and a paragraph.
type MessagePage struct {
	Guest
	Text string
}

func (ReviewPage) page() string   { return "review" }
func (SignInPage) page() string   { return "signin" }
func (RefusedPage) page() string  { return "refused" }
func (NewLinkPage) page() string  { return "newlink" }
func (DeclinedPage) page() string { return "declined" }
func (LeavePage) page() string    { return "leave" }
func (MyAppsPage) page() string   { return "myapps" }
func (MessagePage) page() string  { return "message" }
