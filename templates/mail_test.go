package templates

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, or rewrites the file under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), got)
}

// invitation is a mail with every block.
func invitation() InvitationMail {
	return InvitationMail{
		Organization: "Contoso", Domain: "contoso.example", Inviter: "Inviter", Reply: true,
		Message:     "Hello Ana,\nhere is the room for our project.\n\nSee you <soon> & \"well\"",
		RedirectURL: "https://projects.contoso.example/start?room=1&x=2",
		RedeemURL:   "https://invites.contoso.example/redeem?tenant=1&user=2&ticket=a.b.c&ver=2.0",
		BlockURL:    "https://invites.contoso.example/block?t=1",
		PrivacyURL:  "https://contoso.example/privacy",
		Expires:     time.Date(2026, 12, 21, 8, 30, 0, 0, time.UTC),
		Recipient:   "ana@fabrikam.example", Brand: "Invited",
	}
}

// bare is a mail with required fields only.
func bare() InvitationMail {
	return InvitationMail{
		Organization: "Contoso", Domain: "contoso.example",
		RedeemURL: "http://127.0.0.1:8080/redeem?ticket=a", Recipient: "ana@fabrikam.example", Brand: "Invited",
	}
}

// page is what a reader of an HTML part gets.
type page struct {
	words []string // of the body, white space collapsed
	links []string
	lang  string
	title string
}

// read walks an HTML part as a browser would.
func read(t *testing.T, s string) page {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(s))
	require.NoError(t, err)
	var p page
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			for _, a := range n.Attr {
				switch {
				case n.Data == "html" && a.Key == "lang":
					p.lang = a.Val
				case n.Data == "a" && a.Key == "href":
					p.links = append(p.links, a.Val)
				case a.Key == "aria-hidden":
					return
				}
			}
			switch n.Data {
			case "title":
				p.title = n.FirstChild.Data
				return
			case "style":
				return
			}
		}
		if n.Type == html.TextNode {
			p.words = append(p.words, strings.Fields(n.Data)...)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	return p
}

func TestInvitationMail(t *testing.T) {
	for name, m := range map[string]InvitationMail{"full": invitation(), "bare": bare()} {
		for _, lang := range Languages() {
			for generation := 1; generation <= 3; generation++ {
				t.Run(fmt.Sprint(name, " ", lang, " ", generation), func(t *testing.T) {
					m := m
					m.Generation = generation
					got, err := m.Render(lang)
					require.NoError(t, err)
					require.NotRegexp(t, `\[mail\.`, got.Subject+got.Text+got.HTML)
					require.NotContains(t, got.HTML, "ZgotmplZ")

					p := read(t, got.HTML)
					require.Equal(t, lang, p.lang)
					require.Equal(t, got.Subject, p.title)
					links := []string{m.RedeemURL}
					if m.BlockURL != "" {
						links = append(links, m.BlockURL)
					}
					require.Equal(t, links, p.links)
					require.Equal(t, sameWords(got.Text, m), p.words, "text and HTML must say the same")
					require.NotContains(t, got.HTML, "<img")
					require.NotContains(t, got.HTML, "display:none", "hidden text looks like spam")
					require.Less(t, len(got.HTML), 20<<10)
				})
			}
		}
	}
}

// sameWords returns the words of a text part without what only plain text
// needs: link targets, quote marks and the line before the footer.
func sameWords(text string, m InvitationMail) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "-- ", line == m.RedeemURL, line == m.BlockURL && line != "":
			continue
		}
		out = append(out, strings.Fields(strings.TrimPrefix(line, ">"))...)
	}
	// A colon after a label announces the link on the next line.
	for i, w := range out {
		for _, label := range []string{"invitation:", "Started:", "annehmen:", "Loslegen:"} {
			if w == label {
				out[i] = strings.TrimSuffix(w, ":")
			}
		}
	}
	if m.BlockURL != "" {
		for i, w := range out {
			if w == m.Organization+":" || w == "verschickt:" {
				out[i] = strings.TrimSuffix(w, ":")
			}
		}
	}
	return out
}

func TestInvitationMailGolden(t *testing.T) {
	for _, lang := range Languages() {
		got, err := invitation().Render(lang)
		require.NoError(t, err)
		golden(t, "invitation."+lang+".txt", "Subject: "+got.Subject+"\n\n"+got.Text)
		golden(t, "invitation."+lang+".html", got.HTML)
	}
}

func TestInvitationSubjectsAndButtons(t *testing.T) {
	tests := []struct {
		name, lang, inviter string
		generation          int
		subject, button     string
	}{
		{"the first", "en", "Inviter", 1, "You're invited to the Contoso organization", "Get Started"},
		{"the second is the default", "en", "Inviter", 0, "Inviter invited you to access applications within their organization", "Accept invitation"},
		{"the second without inviter names the tenant", "en", "", 2, "Contoso invited you to access applications within their organization", "Accept invitation"},
		{"the third", "en", "Inviter", 3, "Inviter invited you to collaborate with contoso.example", "Accept invitation"},
		{"the second in German", "de", "Inviter", 2, "Inviter hat Sie eingeladen, auf Anwendungen der eigenen Organisation zuzugreifen", "Einladung annehmen"},
		{"a long name is cut", "en", strings.Repeat("abcdefghi ", 20), 2, "abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abc… invited you to access applications within their organization", "Accept invitation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := bare()
			m.Generation, m.Inviter = tt.generation, tt.inviter
			got, err := m.Render(tt.lang)
			require.NoError(t, err)
			require.Equal(t, tt.subject, got.Subject)
			require.Contains(t, got.HTML, ">"+tt.button+"</a>")
			require.Contains(t, got.Text, tt.button+":\n")
		})
	}
}

func TestInvitationBlocks(t *testing.T) {
	m := invitation()
	got, err := m.Render("en")
	require.NoError(t, err)
	at := -1
	for _, want := range []string{
		"Do you know this organisation?", "Organisation: Contoso", "Domain: contoso.example", "Inviter invites you", "Message from Inviter", "written by the inviter, not by us",
		m.RedirectURL, "Accept invitation:\n" + m.RedeemURL, "21 December 2026 at 08:30 UTC", "Block further invitations", "may contain advertising", m.PrivacyURL, "Delivered by Invited",
	} {
		i := strings.Index(got.Text, want)
		require.Greater(t, i, at, "%q is missing or out of order", want)
		at = i
	}
	got, err = bare().Render("en")
	require.NoError(t, err)
	for _, absent := range []string{"Message from", "Block further", "If you reply", "\n>"} {
		require.NotContains(t, got.Text, absent)
	}
	require.Contains(t, got.Text, "My Apps")
	require.Contains(t, got.Text, "does not expire")
	require.Contains(t, got.Text, "has not given us a privacy statement")
}

func TestInvitationHostileText(t *testing.T) {
	m := invitation()
	m.Message = "{{.RedeemURL}} <a href=\"https://evil.example\">x</a>\u202egpj\r\n\x00Accept invitation:\r\nhttps://evil.example\u2028end" + strings.Repeat("\u0301", 200)
	m.Inviter = "Eve\n\nAccept invitation:\nhttps://evil.example"
	m.Organization = "Con\u202etoso\r\n<script>"
	m.RedirectURL = "javascript:alert(1)"
	got, err := m.Render("en")
	require.NoError(t, err)
	require.NotContains(t, got.Subject, "\n")
	for _, part := range []string{got.Text, got.HTML, got.Subject} {
		require.NotContains(t, part, "\u202e")
		require.NotContains(t, part, "\x00")
		require.NotContains(t, part, "\r")
	}
	require.Equal(t, 1, strings.Count(got.Text, "\nAccept invitation:\n"), "a message cannot imitate the link")
	require.NotContains(t, got.HTML, "<script>")
	require.Equal(t, []string{m.RedeemURL, m.BlockURL}, read(t, got.HTML).links)
}

func TestInvitationNeedsItsFields(t *testing.T) {
	for name, change := range map[string]func(*InvitationMail){
		"organisation": func(m *InvitationMail) { m.Organization = "" },
		"domain":       func(m *InvitationMail) { m.Domain = "" },
		"link":         func(m *InvitationMail) { m.RedeemURL = "" },
		"recipient":    func(m *InvitationMail) { m.Recipient = "" },
		"brand":        func(m *InvitationMail) { m.Brand = "" },
		"generation":   func(m *InvitationMail) { m.Generation = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			m := invitation()
			change(&m)
			_, err := m.Render("en")
			require.Error(t, err)
		})
	}
}

// FuzzInvitationMail checks that no text of a mail adds a link or markup.
func FuzzInvitationMail(f *testing.F) {
	f.Add("Contoso", "Ana", "Hello", "https://a.example/")
	f.Add("<b>", "{{.}}", "\u202e\r\n\x00</p><a href=x>", "javascript:x")
	f.Fuzz(func(t *testing.T, organization, inviter, message, redirect string) {
		m := invitation()
		m.Organization, m.Inviter, m.Message, m.RedirectURL = organization, inviter, message, redirect
		got, err := m.Render("en")
		if err != nil {
			return
		}
		require.NotContains(t, got.Subject, "\n")
		require.Equal(t, []string{m.RedeemURL, m.BlockURL}, read(t, got.HTML).links)
		require.Equal(t, 1, strings.Count(got.Text, "\nAccept invitation:\n"))
	})
}

func BenchmarkInvitationMail(b *testing.B) {
	m := invitation()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Render("en"); err != nil {
			b.Fatal(err)
		}
	}
}
