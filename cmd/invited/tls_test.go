package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/smtp"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trust returns what a client that trusts the development CA uses.
func (s *testServer) trust(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(s.ca.CertificatePEM()))
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

func TestTheSameOverTLS(t *testing.T) {
	s := startServer(t, func(c *config) { c.TLSListen = "127.0.0.1:0" })
	base := "https://" + s.tlsListener.Addr().String()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.trust(t), ForceAttemptHTTP2: true}}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	inv := s.invite(t, "ana@fabrikam.example", fields{"sendMessage": false})
	resp, err := client.Get(strings.Replace(inv.RedeemURL, s.URL(), base, 1))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, 2, resp.ProtoMajor)
	require.Len(t, resp.Cookies(), 1)
	cookie := resp.Cookies()[0]
	require.Equal(t, "__Host-invited_guest", cookie.Name)
	require.True(t, cookie.Secure && cookie.HttpOnly)

	// Programs get a token and use the Graph API, every URL of one origin.
	resp, err = client.Get(base + "/" + string(s.seeded.Tenant) + "/v2.0/.well-known/openid-configuration")
	require.NoError(t, err)
	var discovery struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&discovery))
	require.NoError(t, resp.Body.Close())
	require.True(t, strings.HasPrefix(discovery.Issuer, base), discovery.Issuer)
	resp, err = client.PostForm(discovery.Token, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.seeded.ClientID}, "client_secret": {s.seeded.ClientSecret}, "scope": {base + "/.default"},
	})
	require.NoError(t, err)
	var token struct {
		Access string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&token))
	require.NoError(t, resp.Body.Close())
	req, err := http.NewRequest(http.MethodPost, base+"/v1.0/invitations", strings.NewReader(
		`{"invitedUserEmailAddress":"ben@fabrikam.example","inviteRedirectUrl":"https://app.contoso.example"}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token.Access)
	req.Header.Set("Content-Type", "application/json")
	resp, err = client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusCreated, resp.StatusCode)
}

func TestSinkOffersSTARTTLS(t *testing.T) {
	s := startServer(t, func(c *config) { c.SMTPOfferTLS = true })
	c, err := smtp.Dial(s.SMTPAddr())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.StartTLS(s.trust(t)))
	require.NoError(t, c.Mail("ana@fabrikam.example"))
	require.NoError(t, c.Rcpt("ben@contoso.example"))
	w, err := c.Data()
	require.NoError(t, err)
	_, err = w.Write([]byte("Subject: over TLS\r\n\r\nx\r\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, c.Quit())
	require.Equal(t, "over TLS", s.await(t, "ben@contoso.example", "").Subject)
}
