package api

import (
	"net/http"
	"time"

	"invited/server/directory"
	"invited/server/problem"
	"invited/server/web"
)

// policyJSON is what an administrator decides for the tenant.
type policyJSON struct {
	AllowInvitesFrom string     `json:"allowInvitesFrom"`
	AllowedDomains   []string   `json:"allowedDomains"`
	BlockedDomains   []string   `json:"blockedDomains"`
	RedirectHosts    []string   `json:"redirectHosts"`
	Rules            string     `json:"rules"`
	Providers        []string   `json:"providers"`
	Fallback         string     `json:"fallback"`
	CodeLifetime     string     `json:"codeLifetime"` // such as 10m
	OnResend         string     `json:"onResend"`
	LinkLifetime     string     `json:"linkLifetime"` // such as 720h; 0s: links do not expire
	Limits           limitsJSON `json:"limits"`
}

// limitsJSON bounds how much mail may be caused; 0 means no limit.
type limitsJSON struct {
	RecipientPer5Min int `json:"recipientPer5Min"`
	RecipientPerDay  int `json:"recipientPerDay"`
	DomainPerHour    int `json:"domainPerHour"`
	InviterPerMinute int `json:"inviterPerMinute"`
	InviterPerDay    int `json:"inviterPerDay"`
	TenantPerDay     int `json:"tenantPerDay"`
}

func showPolicy(p directory.Policy) policyJSON {
	order := p.Providers
	if len(order) == 0 {
		order = directory.DefaultProviders
	}
	providers := make([]string, len(order))
	for i, provider := range order {
		providers[i] = string(provider)
	}
	return policyJSON{
		AllowInvitesFrom: string(p.InvitesFrom), AllowedDomains: list(p.AllowedDomains), BlockedDomains: list(p.BlockedDomains),
		RedirectHosts: list(p.RedirectHosts), Rules: string(p.Rules), Providers: providers, Fallback: string(p.Fallback), CodeLifetime: p.CodeLifetime.String(), OnResend: string(p.OnResend),
		LinkLifetime: p.LinkLifetime.String(), Limits: limitsJSON(p.Limits),
	}
}

// getPolicy serves GET /policy.
func (h *Handler) getPolicy(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	if _, err := parseQuery(r); err != nil {
		return err
	}
	p, err := h.Tenants.Policy(r.Context(), actor)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showPolicy(p))
}

// policyRequest is the body of PUT /policy. Members that are absent keep their
// value.
type policyRequest struct {
	AllowInvitesFrom *directory.InvitesFrom `json:"allowInvitesFrom"`
	AllowedDomains   *[]string              `json:"allowedDomains"`
	BlockedDomains   *[]string              `json:"blockedDomains"`
	RedirectHosts    *[]string              `json:"redirectHosts"`
	Rules            *directory.Rules       `json:"rules"`
	Providers        *[]directory.Provider  `json:"providers"`
	Fallback         *directory.Fallback    `json:"fallback"`
	CodeLifetime     *string                `json:"codeLifetime"`
	OnResend         *directory.OnResend    `json:"onResend"`
	LinkLifetime     *string                `json:"linkLifetime"`
	Limits           struct {
		RecipientPer5Min *int `json:"recipientPer5Min"`
		RecipientPerDay  *int `json:"recipientPerDay"`
		DomainPerHour    *int `json:"domainPerHour"`
		InviterPerMinute *int `json:"inviterPerMinute"`
		InviterPerDay    *int `json:"inviterPerDay"`
		TenantPerDay     *int `json:"tenantPerDay"`
	} `json:"limits"`
}

// putPolicy serves PUT /policy.
func (h *Handler) putPolicy(w http.ResponseWriter, r *http.Request) error {
	actor, err := h.actor(r)
	if err != nil {
		return err
	}
	var in policyRequest
	if err := web.ReadStrictJSON(r, &in); err != nil {
		return err
	}
	lifetime, err := duration("linkLifetime", in.LinkLifetime, "720h, or 0s for links that do not expire")
	if err != nil {
		return err
	}
	codes, err := duration("codeLifetime", in.CodeLifetime, "10m")
	if err != nil {
		return err
	}
	p, err := h.Tenants.Policy(r.Context(), actor)
	if err != nil {
		return err
	}
	in.applyTo(&p)
	replace(&p.LinkLifetime, lifetime)
	replace(&p.CodeLifetime, codes)
	saved, err := h.Tenants.SetPolicy(r.Context(), actor, p)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, showPolicy(saved))
}

// duration reads a member that is a duration; nil if it is absent.
func duration(member string, text *string, such string) (*time.Duration, error) {
	if text == nil {
		return nil, nil
	}
	d, err := time.ParseDuration(*text)
	if err != nil {
		return nil, problem.BadField("api.putPolicy", member, member+" must be a duration such as "+such+".")
	}
	return &d, nil
}

// applyTo changes what the request names.
func (in *policyRequest) applyTo(p *directory.Policy) {
	replace(&p.InvitesFrom, in.AllowInvitesFrom)
	replace(&p.AllowedDomains, in.AllowedDomains)
	replace(&p.BlockedDomains, in.BlockedDomains)
	replace(&p.RedirectHosts, in.RedirectHosts)
	replace(&p.Rules, in.Rules)
	replace(&p.Providers, in.Providers)
	replace(&p.Fallback, in.Fallback)
	replace(&p.OnResend, in.OnResend)
	replace(&p.Limits.RecipientPer5Min, in.Limits.RecipientPer5Min)
	replace(&p.Limits.RecipientPerDay, in.Limits.RecipientPerDay)
	replace(&p.Limits.DomainPerHour, in.Limits.DomainPerHour)
	replace(&p.Limits.InviterPerMinute, in.Limits.InviterPerMinute)
	replace(&p.Limits.InviterPerDay, in.Limits.InviterPerDay)
	replace(&p.Limits.TenantPerDay, in.Limits.TenantPerDay)
}
