package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// outbox asks the server whether a relay refuses it: then all mail waits.
func outbox(ctx context.Context, server, token string) Result {
	r := Result{Name: "mail relays"}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/invited/v1/outbox?state=failed&$top=1", nil)
	if err != nil {
		r.Detail, r.Remedy = err.Error(), "name a URL such as http://127.0.0.1:8080"
		return r
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Detail, r.Remedy = server+" does not answer", "start it with: invited serve"
		return r
	}
	defer resp.Body.Close()
	var page struct {
		Value  []struct{}
		Alarms []struct {
			Relay, Text string
			Code        int
		}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &page) != nil {
		r.Detail, r.Remedy = server+"/invited/v1/outbox answers "+resp.Status, "run doctor with the --data directory of this server"
		return r
	}
	if len(page.Alarms) > 0 {
		var all []string
		for _, a := range page.Alarms {
			all = append(all, fmt.Sprintf("%s refuses this server: %d %s", a.Relay, a.Code, a.Text))
		}
		r.Detail = strings.Join(all, "; ")
		r.Remedy = "put user and password or token in --relay right and start the server again; mail waits until then"
		return r
	}
	r.OK, r.Detail = true, "no relay refuses this server"
	if len(page.Value) > 0 {
		r.Detail += "; some mail has failed for good, see: invited outbox list --state failed"
	}
	return r
}
