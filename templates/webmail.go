package templates

// Webmail is what every page of the sink has.
type Webmail struct {
	Title      string
	Search     string // as typed
	ListTo     string // only mail to this address; empty: all
	ListFolder string // Inbox or Junk; empty: both
	Here       string // path and query of this page, where forms lead back to
	Theme      string // auto, light or dark
	Badge      int    // unread messages of the whole sink; shown in the title of lists
	Notice     string // what was just done
	Faults     int    // rules by which SMTP fails; negative: there is no panel
}

// NextTheme is the theme that the button switches to.
func (w Webmail) NextTheme() string {
	switch w.Theme {
	case "light":
		return "dark"
	case "dark":
		return "auto"
	default:
		return "light"
	}
}

// ThemeKey returns the key of the text that names the theme.
func (w Webmail) ThemeKey() string {
	if w.Theme == "light" || w.Theme == "dark" {
		return "webmail.theme." + w.Theme
	}
	return "webmail.theme.auto"
}

// InboxPage lists captured mail.
type InboxPage struct {
	Webmail
	Heading  string // what is listed
	Tabs     []Tab  // folders
	Boxes    []Box  // the first mailboxes
	AllBoxes string // URL of all mailboxes; empty: these are all
	Newest   string // id of the newest message shown, for live updates
	Messages []InboxLine
	Next     string // URL of older messages; empty: none
	Previous string // URL of newer messages; empty: none
	Empty    string // URL of the page that deletes what is listed; empty: nothing to delete
	Problem  string // what is wrong with the search, or why there is no page
	Missing  bool   // there is no such page: the title is shown as a heading
	Live     bool   // newer mail may be shown as it arrives
	SMTP     string // where to send mail to, for the empty page
}

// Tab is one of several views, of which one is shown.
type Tab struct {
	Key     string // for shortcuts and styles
	Name    string
	URL     string
	Count   int // negative: not shown
	Current bool
}

// Box is one recipient's mailbox.
type Box struct {
	Address, URL        string
	Inbox, Junk, Unread int
	Current             bool
}

// InboxLine is one message of the list.
type InboxLine struct {
	ID, URL, From, To, Subject string
	When                       string // for people
	Received                   string // RFC 3339
	Snippet                    string
	Read, Junk                 bool
	Why                        string // of Junk, in one sentence
	Attachments                int
	Tags                       []string
}

// BoxesPage lists mailboxes.
type BoxesPage struct {
	Webmail
	Filter string // as typed
	Boxes  []Box
	Next   string // URL of more; empty: none
}

// EmptyPage asks whether to delete everything that is listed.
type EmptyPage struct {
	Webmail
	What string // what is deleted, as the list was headed
	Back string // URL of the list
}

// HelpPage explains search and shortcuts.
type HelpPage struct{ Webmail }

// FaultsPage shows the rules by which SMTP fails.
type FaultsPage struct {
	Webmail
	Rules   []FaultRule
	Problem string // why the rule was not added
	Add     FaultForm
}

// FaultRule is one rule, in words.
type FaultRule struct {
	Number  int    // from 1
	Stage   string // auth, mail, rcpt or data
	From    string // empty: anybody
	To      string // empty: anybody
	Code    int    // 0: none
	Text    string
	Drop    bool
	Delay   string
	First   int
	Every   int
	Rate    int
	Per     string
	Address string
}

// FaultForm is what somebody typed for a new rule.
type FaultForm struct{ Stage, From, To, Effect, Code, Text, Delay, When, Count, Per string }

// MailPage shows one captured message.
type MailPage struct {
	Webmail
	ID                       string
	Back                     string // URL of the list it was opened from
	Older, Newer             string // URLs of its neighbours; empty: none
	From, To, Cc, ReplyTo    string
	When, Received, Size     string
	EnvelopeFrom, EnvelopeTo string
	Helo, Remote             string
	ParseError               string
	Unread                   bool   // the script marks it as read
	RedeemURL                string // the link that redeems an invitation; empty: none
	Tags                     []string
	ReleaseVia               string // the relay; empty: mail cannot be released
	ReleaseTo                string // suggested recipients
	Tabs                     []Tab
	View                     string // which of the tabs is shown
	Verdicts                 []MailVerdict
	VerdictURL               string
	Links                    []MailLink
	Codes                    []MailCode
	HasHTML                  bool
	Width                    string // of the frame: phone, tablet, desktop; empty: as wide as there is room
	Widths                   []Tab
	Text                     string
	HTML                     []SourceToken
	Raw                      string
	Cut                      bool // Raw, Text or HTML is longer than what is shown
	Filter                   string
	Headers                  []MailHeader
	Parts                    []MailPart
	Attachments              []MailFile
	Problems                 []string
	Support                  *MailSupport
	Session                  []SessionLine
}

// MailVerdict is the judgement for one recipient.
type MailVerdict struct {
	Address, Folder string
	Junk            bool
	Forced          string
	Score           string
	SCL             int
	Mark            int // where the score stands on a line of 400 units
	Why             string
	Hits            []MailHit
	Segments        []Segment // what each hit adds to the score
}

// Segment is a part of a line.
type Segment struct{ X, Width, Shade int }

// MailHit is one rule that matched.
type MailHit struct{ Rule, Score, Why, Fix, Where string }

// MailLink is one link in a message.
type MailLink struct {
	URL, Text string
	Host      string
	Web       bool // http or https: shown as a link
	Differs   bool // Text names another host than URL
}

// MailCode is a one-time code found in the text.
type MailCode struct{ Value, Near string }

// MailFile is one attachment.
type MailFile struct {
	PartID, Name, Type, Size string
	Picture                  bool // it has a thumbnail
}

// MailHeader is one header field.
type MailHeader struct{ Name, Value, Raw string }

// MailPart is one node of the MIME tree, which is drawn line by line.
type MailPart struct {
	Branch                         string // the lines of the tree left of the node
	PartID, Type, Detail, FileName string
	Size                           string
	Share                          int // of the bytes, on a line of 100 units
	Leaf                           bool
}

// SourceToken is a piece of HTML source.
type SourceToken struct{ Kind, Text string }

// MailSupport says which mail clients show the HTML as meant.
type MailSupport struct {
	Supported, Partial, Unsupported string // percent
	SupportedWidth, PartialWidth    int    // on a line of 400 units
	UnsupportedX, UnsupportedWidth  int
	Clients                         []SupportClient
	Features                        []SupportFeature
}

// SupportClient is a mail client and how much of the HTML it does not show.
type SupportClient struct {
	Name        string
	Missing     int // features
	Partly      int
	Bad, Middle int // on a line of 100 units
}

// SupportFeature is something that some clients do not show.
type SupportFeature struct {
	Name, Note string
	Found      int
	No, Partly []string // clients
}

// SessionLine is one line of the SMTP dialogue.
type SessionLine struct{ At, Who, Text string }

func (InboxPage) page() string  { return "inbox" }
func (MailPage) page() string   { return "mail" }
func (BoxesPage) page() string  { return "boxes" }
func (EmptyPage) page() string  { return "empty" }
func (HelpPage) page() string   { return "help" }
func (FaultsPage) page() string { return "faults" }
