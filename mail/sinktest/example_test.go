package sinktest_test

import (
	"fmt"
	"net/smtp"
	"testing"

	"invited/mail/sink/faults"
	"invited/mail/sinktest"
)

// A test lets the program under test send to Addr and waits for the mail.
func Example() {
	var t *testing.T // the test's own

	mail := sinktest.New(t)

	err := smtp.SendMail(mail.Addr, nil, "invite@contoso.example", []string{"ana@fabrikam.example"}, []byte(
		"From: invite@contoso.example\r\nTo: ana@fabrikam.example\r\nSubject: You are invited\r\n\r\n"+
			"Accept at https://contoso.example/redeem?ticket=abc\r\n"))
	if err != nil {
		t.Fatal(err)
	}

	m := mail.MustWait("ana@fabrikam.example")
	if m.Folder != "Inbox" {
		t.Errorf("filed in %s, because %v", m.Folder, m.Verdict.Hits)
	}
	fmt.Println(m.Link("redeem").URL)
}

// A server that defers the first attempt, as greylisting does.
func ExampleServer_faults() {
	var t *testing.T // the test's own

	mail := sinktest.New(t)
	err := mail.Faults.Replace([]faults.Rule{{Stage: faults.Rcpt, Code: 450, First: 1}})
	if err != nil {
		t.Fatal(err)
	}
}
