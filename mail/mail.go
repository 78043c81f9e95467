// Package mail is the vocabulary of everything that speaks RFC 5322 and 5321:
// addresses, rendered messages, envelopes and what becomes of a delivery.
//
// It knows nothing of tenants or invitations, opens no connection and stores
// nothing. Packages below it compose, queue, deliver and catch mail.
package mail

import "time"

// Message is a rendered mail with the envelope it travels in. It has one
// recipient, so that one reply decides its fate.
type Message struct {
	MessageID string  // of the header field, without angle brackets
	From      string  // reverse-path; empty is the null sender
	To        Address // forward-path
	Raw       []byte  // header and body with CRLF line ends, not dot-stuffed
}

// DeliveryState is where a queued message stands.
type DeliveryState string

// The states. Queued, Sending and Deferred are open; the others are final.
const (
	Queued     DeliveryState = "queued"     // waiting for its first attempt
	Sending    DeliveryState = "sending"    // leased by a worker
	Deferred   DeliveryState = "deferred"   // refused for now; has a next attempt
	Delivered  DeliveryState = "delivered"  // the relay answered 2xx to the final dot
	Bounced    DeliveryState = "bounced"    // accepted, then returned
	Failed     DeliveryState = "failed"     // refused for good, or given up
	Suppressed DeliveryState = "suppressed" // not sent: the recipient is on the suppression list
	Canceled   DeliveryState = "canceled"   // withdrawn before it was sent
)

// Final reports whether no further attempt will be made.
func (s DeliveryState) Final() bool {
	switch s {
	case Queued, Sending, Deferred:
		return false
	default:
		return true
	}
}

// Stage is the step of the SMTP dialogue an attempt ended at.
type Stage string

// The stages, in order.
const (
	StageConnect  Stage = "connect"
	StageGreeting Stage = "greeting"
	StageHello    Stage = "ehlo"
	StageTLS      Stage = "starttls"
	StageAuth     Stage = "auth"
	StageMail     Stage = "mail"
	StageRcpt     Stage = "rcpt"
	StageData     Stage = "data"
	StageDot      Stage = "dot"    // the reply to the final dot: it alone means success
	StageBounce   Stage = "bounce" // after it: what a mail system reported later
)

// Attempt is the outcome of one try to deliver one message.
type Attempt struct {
	Number    int       // from 1
	At        time.Time // when it ended
	Relay     string    // host:port
	Stage     Stage
	Code      int    // SMTP reply code; 0 if there was no reply
	Enhanced  string // RFC 3463 status such as "5.1.1"; may be empty
	Text      string // first KiB of the reply, or the network error
	Permanent bool   // 5xx: never retried
	Ambiguous bool   // the connection broke after the dot: the relay may have taken it
}

// OK reports whether the relay took responsibility for the message.
func (a Attempt) OK() bool { return a.Stage == StageDot && a.Code/100 == 2 }
