// Package rules judges a captured mail the way receivers do, and explains
// itself: each [Hit] says what was found, why receivers mind, and what to
// change.
//
// It is a pure function of the message and a [Scenario]; it looks nothing up
// on a network, so the same mail always gets the same verdict.
package rules

// Verdict is the judgement of one message for one recipient.
type Verdict struct {
	Score    float64 `json:"score"`
	SCL      int     `json:"scl"`      // spam confidence level: 1 inbox, 5, 6 and 9 junk
	Category string  `json:"category"` // of X-Forefront-Antispam-Report: NONE, SPM, SPOOF, BIMP, BULK
	Forced   string  `json:"forced"`   // what forced the folder; empty if the score decided
	Hits     []Hit   `json:"hits"`
}

// Hit is one rule that matched.
type Hit struct {
	Rule  string  `json:"rule"` // stable name such as MISSING_DATE
	Score float64 `json:"score"`
	Why   string  `json:"why"`
	Fix   string  `json:"fix"`
	Where string  `json:"where,omitempty"` // header field or part that triggered it
}

// Junk reports whether the verdict files the message in Junk.
func (v Verdict) Junk() bool { return v.SCL >= 5 }
