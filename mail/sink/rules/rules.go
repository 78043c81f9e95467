// Package rules judges a captured mail the way receivers do, and explains
// itself: each [Hit] says what was found, why receivers mind, and what to
// change.
//
// It is a pure function of the message and a [Scenario]; it looks nothing up
// on a network, so the same mail always gets the same verdict. What can only be
// known by cryptography or the DNS comes in as [Auth]; without it, the rules
// about it are silent.
package rules

// Verdict is the judgement of one message for one recipient.
type Verdict struct {
	Score    float64 `json:"score"`
	SCL      int     `json:"scl"`      // spam confidence level: -1 let in unfiltered, 1 inbox, 5, 6 and 9 junk
	Category string  `json:"category"` // of X-Forefront-Antispam-Report: NONE, SPM, SPOOF, BIMP, BULK
	Forced   string  `json:"forced"`   // what forced the folder; empty if the score decided
	Hits     []Hit   `json:"hits"`

	BCL     int      `json:"bcl,omitempty"`            // bulk complaint level: 0 not a mailing, 3 a mailing
	Auth    *Auth    `json:"authentication,omitempty"` // nil if it was not judged
	Engines []Engine `json:"engines,omitempty"`        // asked afterwards
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
