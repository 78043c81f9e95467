package mailpit_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"
	"github.com/stretchr/testify/require"
)

func TestVerdictAsHeaderFields(t *testing.T) {
	f := open(t)
	mail := plain("a@contoso.example", "ana@fabrikam.example", "Both")
	id := f.receive(mail, "ana@fabrikam.example", "junk@fabrikam.example")
	source := strings.ReplaceAll(mail, "\n", "\r\n")

	_, raw, _ := f.do("GET", "/api/v1/message/"+id+"/raw", "")
	require.Equal(t, source, raw, "bytes in are bytes out")

	for recipient, want := range map[string]string{"": "SCL:1;", "&recipient=ana@fabrikam.example": "SCL:1;", "&recipient=JUNK@fabrikam.example": "SCL:6;SRV:;IPV:NLI;SFV:SPM;"} {
		code, raw, _ := f.do("GET", "/api/v1/message/"+id+"/raw?headers=verdict"+recipient, "")
		require.Equal(t, http.StatusOK, code)
		require.True(t, strings.HasSuffix(raw, source), "the mail itself stays as it is")
		fields := strings.Split(strings.TrimSuffix(raw, source), "\r\n")
		require.Len(t, fields, 4)
		value, ok := strings.CutPrefix(fields[0], "Authentication-Results: ")
		require.True(t, ok)
		_, _, err := authres.Parse(value)
		require.NoError(t, err)
		require.Contains(t, fields[1], "X-Forefront-Antispam-Report: CIP:")
		require.Contains(t, fields[1], want)
		require.Equal(t, "X-Microsoft-Antispam: BCL:0;", fields[2])
	}

	var v struct {
		Recipients []struct {
			Address string
			Headers map[string]string
		}
	}
	f.get("/api/v1/message/"+id+"/verdict", &v)
	require.Len(t, v.Recipients, 2)
	require.Contains(t, v.Recipients[1].Headers["X-Forefront-Antispam-Report"], "SCL:6;")

	code, body, _ := f.do("GET", "/api/v1/message/"+id+"/raw?headers=verdict&recipient=x@y.example", "")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, body, "recipient")
	code, body, _ = f.do("GET", "/api/v1/message/"+id+"/raw?headers=all", "")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "headers must be verdict")
}
