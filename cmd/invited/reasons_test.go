package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/problem"
	"invited/templates"
)

// TestReasons holds that every reason has words in every language and a
// heading in the guide, and that the guide has no heading without a reason.
func TestReasons(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	require.NoError(t, err)
	headings := map[string]bool{}
	for line := range strings.Lines(string(guide)) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			headings[h] = true
		}
	}
	for _, r := range problem.Reasons() {
		require.True(t, headings[string(r)], "docs/troubleshooting.md has no heading for %q", r)
		delete(headings, string(r))
		for _, lang := range templates.Languages() {
			words := templates.ReasonFor(lang, string(r))
			for what, text := range map[string]string{"title": words.Title, "text": words.Text, "remedy": words.Remedy} {
				require.NotEmpty(t, text, "%s has no %s for %q", lang, what, r)
				require.NotContains(t, text, "[reason.", "%s has no %s for %q", lang, what, r)
			}
		}
	}
	require.Empty(t, headings, "docs/troubleshooting.md has headings that are no reasons")
}
