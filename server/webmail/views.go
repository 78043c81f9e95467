package webmail

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/html"

	"invited/mail/sink/mime"
	"invited/templates"
)

// tree draws the MIME tree. Its nodes come flattened, parents first.
func tree(parts []mime.Part) []templates.MailPart {
	total := 1
	for _, p := range parts {
		total += p.Size
	}
	last := map[string]string{} // parent: its last child
	for _, p := range parts {
		last[parent(p.PartID)] = p.PartID
	}
	out := make([]templates.MailPart, len(parts))
	for i, p := range parts {
		out[i] = templates.MailPart{
			Branch: branch(p.PartID, last), PartID: p.PartID, Type: p.ContentType, FileName: p.FileName,
			Detail: detail(p), Leaf: !p.Multipart(), Share: p.Size * 100 / total,
		}
		if out[i].Leaf {
			out[i].Size = size(int64(p.Size))
		}
	}
	return out
}

// parent returns the id of the node above: of "1.2" it is "1", of "1" the
// message "0", of that none.
func parent(id string) string {
	if dot := strings.LastIndexByte(id, '.'); dot >= 0 {
		return id[:dot]
	}
	if id == "0" {
		return ""
	}
	return "0"
}

// branch draws the lines that lead to a node.
func branch(id string, last map[string]string) string {
	up := parent(id)
	if up == "" {
		return ""
	}
	line := "├─ "
	if last[up] == id {
		line = "└─ "
	}
	for id, up = up, parent(up); up != ""; id, up = up, parent(up) {
		if last[up] == id {
			line = "   " + line
		} else {
			line = "│  " + line
		}
	}
	return line
}

// detail says how a part is coded.
func detail(p mime.Part) string {
	var list []string
	for _, s := range []string{p.Charset, p.Encoding, p.Disposition} {
		if s != "" && (s != p.Encoding || !p.Multipart()) {
			list = append(list, s)
		}
	}
	if p.ContentID != "" {
		list = append(list, "cid:"+p.ContentID)
	}
	return strings.Join(list, ", ")
}

// maxTokens is how many pieces of HTML source are told apart; what follows is
// shown as plain text.
const maxTokens = 20_000

// highlight splits HTML source into pieces. Together they are the source.
func highlight(source string) []templates.SourceToken {
	var out []templates.SourceToken
	z := html.NewTokenizer(strings.NewReader(source))
	z.SetMaxBuf(maxShown)
	done := 0
	for len(out) < maxTokens {
		kind := ""
		switch z.Next() {
		case html.ErrorToken:
			if done < len(source) {
				out = append(out, templates.SourceToken{Text: source[done:]})
			}
			return out
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			kind = "tag"
		case html.CommentToken, html.DoctypeToken:
			kind = "comment"
		case html.TextToken:
		}
		raw := string(z.Raw())
		done += len(raw)
		if n := len(out); n > 0 && out[n-1].Kind == kind {
			out[n-1].Text += raw
			continue
		}
		out = append(out, templates.SourceToken{Kind: kind, Text: raw})
	}
	return append(out, templates.SourceToken{Text: source[min(done, len(source)):]})
}

// support draws what clients show.
func support(s *Support) *templates.MailSupport {
	if s == nil {
		return nil
	}
	const units = lineEnd / 100
	out := &templates.MailSupport{
		Supported: fmt.Sprintf("%.0f", s.Supported), Partial: fmt.Sprintf("%.0f", s.Partial), Unsupported: fmt.Sprintf("%.0f", s.Unsupported),
		SupportedWidth: int(s.Supported * units), PartialWidth: int(s.Partial * units),
	}
	out.UnsupportedX = out.SupportedWidth + out.PartialWidth
	out.UnsupportedWidth = lineEnd - out.UnsupportedX
	at := map[string]int{}
	for i, name := range s.Clients {
		at[name] = i
		out.Clients = append(out.Clients, templates.SupportClient{Name: name})
	}
	for _, f := range s.Features {
		out.Features = append(out.Features, templates.SupportFeature{Name: f.Name, Note: f.Note, Found: f.Found, No: f.No, Partly: f.Partly})
		for _, name := range f.No {
			out.Clients[at[name]].Missing++
		}
		for _, name := range f.Partly {
			out.Clients[at[name]].Partly++
		}
	}
	if n := len(s.Features); n > 0 {
		for i := range out.Clients {
			c := &out.Clients[i]
			c.Bad, c.Middle = c.Missing*100/n, (c.Missing+c.Partly)*100/n
		}
	}
	return out
}

// session reads a transcript, whose lines are a moment, C or S, and what was
// said. Moments are shown as time since the first.
func session(transcript string) []templates.SessionLine {
	var out []templates.SessionLine
	var first time.Time
	for line := range strings.SplitSeq(strings.TrimRight(transcript, "\n"), "\n") {
		moment, rest, _ := strings.Cut(line, " ")
		at, err := time.Parse("2006-01-02T15:04:05.000Z", moment)
		who, said, ok := strings.Cut(rest, ": ")
		if err != nil || !ok || who != "C" && who != "S" {
			if line != "" {
				out = append(out, templates.SessionLine{Text: line})
			}
			continue
		}
		if first.IsZero() {
			first = at
		}
		out = append(out, templates.SessionLine{At: fmt.Sprintf("%.3f s", at.Sub(first).Seconds()), Who: who, Text: said})
	}
	return out
}
