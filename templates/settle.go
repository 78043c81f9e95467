package templates

import tree "text/template/parse"

// settle replaces each {{t "key"}} without arguments by its text, so that a
// mail does not look up and escape again what is always the same. Mails have
// such texts only between tags and in quoted attributes, where escape is right.
func settle(list *tree.ListNode, text func(key string, args ...any) string, escape func(string) string) {
	if list == nil {
		return
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *tree.ActionNode:
			if key, ok := plainKey(n.Pipe); ok {
				list.Nodes[i] = &tree.TextNode{NodeType: tree.NodeText, Pos: n.Pos, Text: []byte(escape(text(key)))}
			}
		case *tree.IfNode:
			settle(n.List, text, escape)
			settle(n.ElseList, text, escape)
		case *tree.RangeNode:
			settle(n.List, text, escape)
			settle(n.ElseList, text, escape)
		}
	}
}

// plainKey returns the key of a pipe that is t "key".
func plainKey(p *tree.PipeNode) (string, bool) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 2 {
		return "", false
	}
	name, ok := p.Cmds[0].Args[0].(*tree.IdentifierNode)
	if !ok || name.Ident != "t" {
		return "", false
	}
	key, ok := p.Cmds[0].Args[1].(*tree.StringNode)
	if !ok {
		return "", false
	}
	return key.Text, true
}
