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
		{"slow+5s@x.example", faults.Fault{Delay: 5 * time.Second}, faults.Rcpt},
		{"slow+data+5s@x.example", faults.Fault{Delay: 5 * time.Second}, faults.Data},
		{"slow@x.example", faults.Fault{}, ""},
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
		{faults.Rule{Stage: faults.Rcpt, Code: 450, First: 1, Every: 1}, "of first, every and rate"},
		{faults.Rule{Stage: faults.Rcpt, Code: 450, Rate: -1}, "negative"},
		{faults.Rule{Stage: faults.Rcpt, Code: 450, Per: time.Second}, "per is set"},
		{faults.Rule{Stage: faults.Auth, Code: 535, From: "*"}, "from is set"},
		{faults.Rule{Stage: faults.Auth, Code: 535, To: "*"}, "at stage auth"},
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

func TestRateLetsSomeThroughInEachPeriod(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, err := faults.New([]faults.Rule{{Stage: faults.Rcpt, Code: 421, Rate: 2, Per: time.Second}})
	require.NoError(t, err)
	s.Now = func() time.Time { return now }
	for range 2 {
		for _, want := range []bool{false, false, true, true} {
			_, got := s.Check(faults.Rcpt, "a@b.example", "c@d.example")
			require.Equal(t, want, got)
		}
		now = now.Add(time.Second)
	}
}

func TestChanceIsSpreadEvenly(t *testing.T) {
	tests := []struct {
		percent int
		want    int // of 200
		first   int // the number of the first failure
	}{{0, 0, 0}, {1, 2, 100}, {25, 50, 4}, {50, 100, 2}, {100, 200, 1}}
	for _, tt := range tests {
		s := &faults.Set{}
		s.SetChance(faults.Mail, 451, tt.percent)
		failed, first := 0, 0
		for i := range 200 {
			_, other := s.Check(faults.Rcpt, "a@b.example", "c@d.example")
			require.False(t, other)
			f, unlucky := s.Check(faults.Mail, "a@b.example", "")
			if !unlucky {
				continue
			}
			require.Equal(t, 451, f.Code)
			if failed++; first == 0 {
				first = i + 1
			}
		}
		require.Equal(t, tt.want, failed, "%d percent", tt.percent)
		require.Equal(t, tt.first, first, "%d percent", tt.percent)
	}
}

func TestChanceOutOfRangeIsOff(t *testing.T) {
	s := &faults.Set{}
	for _, v := range [][2]int{{399, 50}, {600, 50}, {451, -1}, {451, 101}} {
		s.SetChance(faults.Mail, v[0], v[1])
		_, percent := s.Chance(faults.Mail)
		require.Zero(t, percent)
	}
	s.SetChance(faults.Auth, 535, 7)
	code, percent := s.Chance(faults.Auth)
	require.Equal(t, []int{535, 7}, []int{code, percent})
}

// FuzzFromAddress checks that no address asks for more than a test may: a code
// that is no refusal, a delay without end, or a reply of several lines.
func FuzzFromAddress(f *testing.F) {
	for _, seed := range []string{"bounce+550+no_such_guest@x.example", "delay+3s@x", "slow+data+5s@x", "drop+rcpt@x", "bounce+550+\"a\\\r\nb\"@x", "delay+9999999h@x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		fault, at, ok := faults.FromAddress(address)
		if !ok {
			return
		}
		require.Contains(t, []faults.Stage{faults.Rcpt, faults.Data}, at)
		require.True(t, fault.Code == 0 || fault.Code >= 400 && fault.Code <= 599)
		require.True(t, fault.Delay >= 0 && fault.Delay <= faults.MaxDelay)
		require.True(t, fault.Drop || fault.Delay > 0 || fault.Code > 0 && fault.Text != "")
		require.NotContains(t, fault.Text, "\n")
		require.NotContains(t, fault.Text, "\r")
	})
}
