package api

import (
	_ "embed"
	"net/http"
	"net/netip"
	"time"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/web"
	"invited/tokens"
)

//go:embed openapi.json
var contract []byte

// getContract serves GET /openapi.json, to anybody.
func (h *Handler) getContract(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, err := w.Write(contract)
	return err
}

// tokenRequest is the body of POST /token.
type tokenRequest struct {
	As string `json:"as"` // user principal name; empty: the local application
}

type tokenJSON struct {
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
	Token     string `json:"access_token"`
}

// createToken serves POST /token: an access token in a person's name, for
// whoever can read the server's data directory and for nobody else.
func (h *Handler) createToken(w http.ResponseWriter, r *http.Request) error {
	const op = "api.createToken"
	bearer, err := web.Bearer(r)
	if err != nil {
		return err
	}
	if !h.Sessions.IsLocal(bearer) {
		return &problem.Error{
			Op: op, Kind: problem.Denied, Reason: problem.RoleRequired, Field: "Authorization",
			Detail: "Only the local credential may ask for tokens in the name of others. Use the token in the file cli.json of the server's data directory.",
		}
	}
	var in tokenRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	issuer := web.Origin(r) + "/" + string(h.Tenant) + "/v2.0"
	token, lifetime, err := h.Sessions.MintFor(r.Context(), h.Tenant, in.As, issuer)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, tokenJSON{Type: "Bearer", ExpiresIn: int64(lifetime.Seconds()), Token: token})
}

// keyJSON is a signing key: public facts only.
type keyJSON struct {
	ID      string     `json:"id"`
	Alg     string     `json:"alg"`
	State   string     `json:"state"`
	Created *time.Time `json:"created"`
	Retires *time.Time `json:"retires"` // null: not retired, or kept for good
}

// listKeys serves GET /keys.
func (h *Handler) listKeys(w http.ResponseWriter, r *http.Request) error {
	if err := h.operator(r); err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	return h.writeKeys(w)
}

// rotateKeys serves POST /keys/rotate: sign with the next key from now on.
// Links made before keep working.
func (h *Handler) rotateKeys(w http.ResponseWriter, r *http.Request) error {
	if err := h.operator(r); err != nil {
		return err
	}
	if err := readOptional(r, &struct{}{}); err != nil {
		return err
	}
	if err := h.Keys.Rotate(h.Now()); err != nil {
		return &problem.Error{Op: "api.rotateKeys", Kind: problem.Internal, Detail: "The keys could not be rotated; the old ones are in use.", Err: err}
	}
	return h.writeKeys(w)
}

func (h *Handler) writeKeys(w http.ResponseWriter) error {
	out := pageJSON[keyJSON]{Value: []keyJSON{}}
	for _, k := range h.Keys.List() {
		out.Value = append(out.Value, showKey(k))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func showKey(k tokens.KeyInfo) keyJSON {
	return keyJSON{ID: k.ID, Alg: string(k.Alg), State: string(k.State), Created: when(k.Created), Retires: when(k.Retires)}
}

// operator refuses whoever may not change the tenant's policies: the keys are
// as much theirs to decide.
func (h *Handler) operator(r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	return actor.Authorize(directory.ManagePolicy, directory.Policy{})
}

// clockRequest is the body of POST /clock.
type clockRequest struct {
	Advance string `json:"advance"`
}

type clockJSON struct {
	Now time.Time `json:"now"`
}

// maxAdvance is how far one request moves the clock.
const maxAdvance = 10 * 365 * 24 * time.Hour

// advanceClock serves POST /clock, for tests that cannot wait. It exists only
// on a server that was started for such tests, and answers only this machine.
func (h *Handler) advanceClock(w http.ResponseWriter, r *http.Request) error {
	const op = "api.advanceClock"
	if !fromHere(r) {
		return &problem.Error{
			Op: op, Kind: problem.Denied, Reason: problem.RoleRequired,
			Detail: "The clock is moved from the machine the server runs on only.",
		}
	}
	var in clockRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	d, err := time.ParseDuration(in.Advance)
	if err != nil || d <= 0 || d > maxAdvance {
		return problem.BadField(op, "advance", "advance must be a duration such as 720h, more than nothing and at most ten years.")
	}
	return web.WriteJSON(w, http.StatusOK, clockJSON{Now: h.Advance(d).UTC()})
}

// fromHere reports whether the peer is this machine.
func fromHere(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}
