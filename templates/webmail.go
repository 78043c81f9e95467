package templates

// Webmail is what every page of the sink has.
type Webmail struct {
	Title  string
	Search string // as typed
}

// InboxPage lists captured mail.
type InboxPage struct {
	Webmail
	Tabs     []Tab
	Mailbox  string // only this recipient; empty: everyone
	Folder   string // only this folder; empty: both
	Newest   string // id of the newest message shown, for live updates
	Messages []InboxLine
	Next     string // URL of older messages; empty: none
	Problem  string // what is wrong with the search, or why there is no page
	Missing  bool   // there is no such page: the title is shown as a heading
	Live     bool   // newer mail may be shown as it arrives
	SMTP     string // where to send mail to, for the empty page
}

// Tab is one folder above the list.
type Tab struct {
	Name    string
	URL     string
	Count   int // negative: not shown
	Current bool
}

// InboxLine is one message of the list.
type InboxLine struct {
	ID, From, To, Subject string
	When                  string // for people
	Received              string // RFC 3339
	Read, Junk            bool
	Why                   string // of Junk, in one sentence
	Attachments           int
}

// MailPage shows one captured message.
type MailPage struct {
	Webmail
	ID                       string
	From, To, Cc, ReplyTo    string
	When, Received           string
	EnvelopeFrom, EnvelopeTo string
	Helo, Remote             string
	ParseError               string
	Unread                   bool   // the script marks it as read
	RedeemURL                string // the link that redeems an invitation; empty: none
	Verdicts                 []MailVerdict
	Links                    []MailLink
	HasHTML                  bool
	Text                     string
	Attachments              []MailFile
	Problems                 []string
}

// MailVerdict is the judgement for one recipient.
type MailVerdict struct {
	Address, Folder string
	Junk            bool
	Forced          string
	Score           string
	SCL             int
	Mark            int // where the score stands on a line of 400 units
	Hits            []MailHit
}

// MailHit is one rule that matched.
type MailHit struct{ Rule, Score, Why, Fix, Where string }

// MailLink is one link in a message.
type MailLink struct {
	URL, Text string
	Web       bool // http or https: shown as a link
}

// MailFile is one attachment.
type MailFile struct{ PartID, Name, Type, Size string }

func (InboxPage) page() string { return "inbox" }
func (MailPage) page() string  { return "mail" }
