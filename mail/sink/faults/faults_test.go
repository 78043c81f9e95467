package faults_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink/faults"
)

func TestFromAddress(t *testing.T) {
	tests := []struct {
		address string
		want    faults.Fault
		at      faults.Stage // empty: no fault
	}{
		{"bounce+550+no_such_guest@x.example", faults.Fault{Code: 550, Text: "no such guest"}, faults.Rcpt},
		{"Bounce+451@x.example", faults.Fault{Code: 451, Text: "not now, try again later"}, faults.Rcpt},
		{"bounce+DATA+552+a+b@x.example", faults.Fault{Code: 552, Text: "a b"}, faults.Data},
		{"drop@x.example", faults.Fault{Drop: true}, faults.Rcpt},
		{"drop+data@x.example", faults.Fault{Drop: true}, faults.Data},
		{"delay+3s@x.example", faults.Fault{Delay: 3 * time.Second}, faults.Rcpt},
		{"delay+1h@x.example", faults.Fault{}, ""},
		{"delay+-1s@x.example", faults.Fault{}, ""},
		{"bounce+250@x.example", faults.Fault{}, ""},
		{"bounce+abc123@x.example", faults.Fault{}, ""},
		{"bounce@x.example", faults.Fault{}, ""},
		{"guest+junk@x.example", faults.Fault{}, ""},
		{"", faults.Fault{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.address, func(t *testing.T) {
			f, at, ok := faults.FromAddress(tt.address)
			require.Equal(t, tt.at != "", ok)
			if ok {
				require.Equal(t, tt.want, f)
				require.Equal(t, tt.at, at)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const from, to = "a@b.example", "c@d.example"
	tests := []struct {
		name  string
		rule  faults.Rule
		stage faults.Stage
		want  []bool // of the same command again and again
	}{
		{"always", faults.Rule{Stage: faults.Rcpt, Code: 550}, faults.Rcpt, []bool{true, true}},
		{"at another stage", faults.Rule{Stage: faults.Data, Code: 550}, faults.Rcpt, []bool{false}},
		{"the first two", faults.Rule{Stage: faults.Rcpt, Code: 450, First: 2}, faults.Rcpt, []bool{true, true, false, false}},
		{"every third", faults.Rule{Stage: faults.Rcpt, Code: 450, Every: 3}, faults.Rcpt, []bool{false, false, true, false, false, true}},
		{"the recipient matches", faults.Rule{Stage: faults.Rcpt, Code: 450, To: "*@D.example"}, faults.Rcpt, []bool{true}},
		{"the recipient matches in the middle", faults.Rule{Stage: faults.Rcpt, Code: 450, To: "c*d*le"}, faults.Rcpt, []bool{true}},
		{"the recipient does not match", faults.Rule{Stage: faults.Rcpt, Code: 450, To: "*@e.example"}, faults.Rcpt, []bool{false}},
		{"the sender does not match", faults.Rule{Stage: faults.Rcpt, Code: 450, From: "b@*"}, faults.Rcpt, []bool{false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := faults.New([]faults.Rule{tt.rule})
			require.NoError(t, err)
			for i, want := range tt.want {
				f, got := s.Check(tt.stage, from, to)
				require.Equal(t, want, got, "attempt %d", i+1)
				if got {
					require.Equal(t, tt.rule.Code, f.Code)
					require.NotEmpty(t, f.Text)
					require.Equal(t, f.Code/100, f.Enhanced()[0])
				}
			}
		})
	}
}

func TestGreylistingCountsEachPair(t *testing.T) {
	s, err := faults.New([]faults.Rule{{Stage: faults.Rcpt, Code: 450, First: 1}})
	require.NoError(t, err)
	for _, to := range []string{"c@d.example", "e@d.example"} {
		_, failed := s.Check(faults.Rcpt, "a@b.example", to)
		require.True(t, failed)
		_, failed = s.Check(faults.Rcpt, "A@b.example", to)
		require.False(t, failed)
	}
}

func TestNilKnowsTheAddressesOnly(t *testing.T) {
	var s *faults.Set
	_, ok := s.Check(faults.Rcpt, "", "bounce+550@x.example")
	require.True(t, ok)
	_, ok = s.Check(faults.Rcpt, "", "jane@x.example")
	require.False(t, ok)
	require.Empty(t, s.Rules())
}

func TestReplaceNamesTheRuleAtFault(t *testing.T) {
	tests := []struct {
		rule faults.Rule
		want string
	}{
		{faults.Rule{Stage: "helo", Code: 550}, "stage"},
		{faults.Rule{Stage: faults.Mail, To: "*", Code: 550}, "to is set"},
		{faults.Rule{Stage: faults.Rcpt, Code: 250}, "code 250"},
		{faults.Rule{Stage: faults.Rcpt}, "none of code"},
		{faults.Rule{Stage: faults.Rcpt, Code: 450, Drop: true}, "exclude"},
		{faults.Rule{Stage: faults.Rcpt, Delay: time.Hour}, "delay"},
		{faults.Rule{Stage: faults.Rcpt, Code: 450, First: 1, Every: 1}, "first and every"},
		{faults.Rule{Stage: faults.Rcpt, Code: 450, Text: "a\r\nb"}, "control"},
	}
	s, err := faults.New([]faults.Rule{{Stage: faults.Rcpt, Code: 550}})
	require.NoError(t, err)
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			err := s.Replace([]faults.Rule{{Stage: faults.Data, Code: 451}, tt.rule})
			require.ErrorContains(t, err, "rule 2: ")
			require.ErrorContains(t, err, tt.want)
			require.Len(t, s.Rules(), 1)
		})
	}
}
