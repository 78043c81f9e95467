package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

type suppressionsCmd struct {
	List suppressionsListCmd `cmd:"" help:"List the addresses that are not mailed."`
	Add  suppressionsAddCmd  `cmd:"" help:"Mail nothing to an address."`
	Lift suppressionsLiftCmd `cmd:"" help:"Mail an address again."`
}

// suppression is an address that is not mailed, as the API answers it.
type suppression struct {
	Address  string     `json:"address"`
	Cause    string     `json:"cause"`
	Detail   string     `json:"detail"`
	Delivery string     `json:"delivery,omitempty"`
	Created  *time.Time `json:"created"`
	Expires  *time.Time `json:"expires"`
}

var suppressionColumns = []string{"address", "cause", "since", "until", "detail"}

func (s suppression) row() []string {
	day := func(t *time.Time, none string) string {
		if t == nil {
			return none
		}
		return t.UTC().Format(time.DateOnly)
	}
	return []string{s.Address, s.Cause, day(s.Created, ""), day(s.Expires, "lifted"), printableLine(s.Detail)}
}

type suppressionsListCmd struct {
	serverFlags
	outputFlag
}

// Run lists the addresses that are not mailed, all of them.
func (c suppressionsListCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	t := table{columns: suppressionColumns, empty: "No address is suppressed: mail goes to everybody."}
	all := []suppression{}
	for path := "/invited/v1/suppressions"; path != ""; {
		var page struct {
			Value []suppression `json:"value"`
			Next  string        `json:"@odata.nextLink"`
		}
		if err := api.call(e, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		all = append(all, page.Value...)
		path = ""
		if next, err := url.Parse(page.Next); err == nil && page.Next != "" {
			path = next.RequestURI()
		}
	}
	for _, s := range all {
		t.rows = append(t.rows, s.row())
	}
	t.value = all
	return c.print(e.stdout, t)
}

type suppressionsAddCmd struct {
	serverFlags
	outputFlag
	Address string        `arg:"" help:"The address, in any spelling of its mailbox."`
	Detail  string        `placeholder:"TEXT" help:"Why, for those who look later."`
	For     time.Duration `placeholder:"DURATION" help:"For how long, such as 720h (default: until it is lifted)."`
}

// Run adds an address.
func (c suppressionsAddCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	body := map[string]any{"address": c.Address, "detail": c.Detail}
	if c.For != 0 {
		body["expires"] = time.Now().Add(c.For).UTC().Format(time.RFC3339)
	}
	var s suppression
	if err := api.call(e, http.MethodPost, "/invited/v1/suppressions", body, &s); err != nil {
		return err
	}
	return c.print(e.stdout, table{columns: suppressionColumns, rows: [][]string{s.row()}, value: s})
}

type suppressionsLiftCmd struct {
	serverFlags
	Address string `arg:"" help:"The address, in any spelling of its mailbox."`
}

// Run takes an address off the list.
func (c suppressionsLiftCmd) Run(e env) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := api.call(e, http.MethodDelete, "/invited/v1/suppressions/"+url.PathEscape(c.Address), nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Mail goes to %s again. What was held back stays so: resend the invitation.\n", printableLine(c.Address))
	return nil
}
