package webmail

import (
	"net/url"
	"strings"

	"invited/mail/sink/mime"
	"invited/templates"
)

// fillParsed fills what only the body knows, in every view.
func fillParsed(p *templates.MailPage, o opened) {
	m := o.parsed
	p.HasHTML, p.Problems = m.HTML != "", m.Problems
	p.Links = links(m.Links)
	for _, l := range p.Links {
		if l.Web && redeems(l.URL) {
			p.RedeemURL = l.URL
			break
		}
	}
	said := m.Text
	if said == "" {
		said = m.HTMLText
	}
	p.Codes = codes(m.Subject, said)
	for _, a := range append(append([]mime.Part{}, m.Attachments...), m.Inline...) {
		name := a.FileName
		if name == "" {
			name = url.PathEscape(a.PartID)
		}
		p.Attachments = append(p.Attachments, templates.MailFile{
			PartID: a.PartID, Name: name, Type: a.ContentType, Size: size(int64(a.Size)), Picture: drawable[a.ContentType],
		})
	}
}

// drawable are the pictures of which the REST face makes thumbnails.
var drawable = map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true}

// widths are those of the frame.
var widths = []string{"", "phone", "tablet", "desktop"}

// fillFrame fills the view a mail program would show.
func fillFrame(page *templates.MailPage, o opened) {
	if !page.HasHTML {
		page.Text, page.Cut = clip(o.parsed.Text)
		return
	}
	for _, width := range widths {
		key := width
		if key == "" {
			key = "fit"
		}
		current := o.r.URL.Query().Get("width") == width
		if current {
			page.Width = width
		}
		page.Widths = append(page.Widths, templates.Tab{
			Key: width, Name: text(o.r, "webmail.width."+key), URL: o.s.url("/mail/"+o.c.ID, "width", width), Count: -1, Current: current,
		})
	}
}

// fillHeaders lists the header fields that contain the filter.
func fillHeaders(page *templates.MailPage, o opened) {
	page.Filter = strings.TrimSpace(o.r.URL.Query().Get("filter"))
	want := strings.ToLower(page.Filter)
	for _, f := range o.parsed.Header {
		line := templates.MailHeader{Name: f.Name, Value: f.Decoded}
		if line.Raw = strings.ToValidUTF8(f.Value, "\ufffd"); line.Raw == line.Value {
			line.Raw = ""
		}
		if strings.Contains(strings.ToLower(line.Name+": "+line.Value+line.Raw), want) {
			page.Headers = append(page.Headers, line)
		}
	}
}

// links lists each URL once, with the first text it has.
func links(found []mime.Link) []templates.MailLink {
	var out []templates.MailLink
	at := map[string]int{}
	for _, l := range found {
		i, seen := at[l.URL]
		if !seen {
			i = len(out)
			at[l.URL] = i
			one := templates.MailLink{URL: l.URL}
			if u, err := url.Parse(l.URL); err == nil {
				one.Host = u.Host
				one.Web = (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
			}
			out = append(out, one)
		}
		if out[i].Text == "" {
			out[i].Text = l.Text
			out[i].Differs = disguised(l)
		}
	}
	return out
}

// disguised reports whether a link shows the address of another host than the
// one it leads to.
func disguised(l mime.Link) bool {
	shown, err := url.Parse(strings.TrimSpace(l.Text))
	if err != nil || shown.Host == "" {
		return false
	}
	real, err := url.Parse(l.URL)
	return err == nil && !strings.EqualFold(real.Hostname(), shown.Hostname())
}

// redeems reports whether a link has the shape of those that redeem an
// invitation.
func redeems(link string) bool {
	u, err := url.Parse(link)
	return err == nil && strings.HasSuffix(u.Path, "/redeem") && u.Query().Get("ticket") != ""
}
