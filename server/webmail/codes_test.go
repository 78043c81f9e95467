package webmail

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCodes(t *testing.T) {
	tests := []struct {
		name, subject, body string
		want                []string
	}{
		{"digits after the word", "", "Your code is 483920.", []string{"483920"}},
		{"the code on the next line", "", "Enter this verification code:\n\n  483 920\n", []string{"483 920"}},
		{"in the subject", "481516 is your code", "", []string{"481516"}},
		{"capitals and digits", "", "One-time passcode: K7Q2-9FXM", []string{"K7Q2-9FXM"}},
		{"German", "", "Ihr Bestätigungscode lautet 4711.", []string{"4711"}},
		{"each once", "Code 481516", "Your code is 481516", []string{"481516"}},
		{"no word, no code", "", "Invoice 483920 is due", nil},
		{"a year is no code", "", "The code of conduct of 2026", nil},
		{"words are no codes", "", "ENTER YOUR SECRET CODE PLEASE", nil},
		{"part of a link is no code", "", "Verify: https://a.example/verify/483920?x=123456", nil},
		{"an amount is no code", "", "Use code SAVE for $483920 off", nil},
		{"three lines below is too far", "", "Your code:\nfirst\nsecond\n483920", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range codes(tt.subject, tt.body) {
				got = append(got, c.Value)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// FuzzCodes checks that what is found stands in the text, is short, and is
// never many.
func FuzzCodes(f *testing.F) {
	for _, seed := range []string{"Your code is 483920.", "code\xff 1234", "PIN " + strings.Repeat("9", 300), "code:\n\nAB12-CD34 +1 555 0100"} {
		f.Add("subject", seed)
	}
	f.Fuzz(func(t *testing.T, subject, body string) {
		found := codes(subject, body)
		require.LessOrEqual(t, len(found), maxCodes)
		for _, c := range found {
			require.True(t, strings.Contains(subject, c.Value) || strings.Contains(body, c.Value))
			require.LessOrEqual(t, len(c.Value), 10)
		}
	})
}
