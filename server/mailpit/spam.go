package mailpit

import (
	"context"
	"net/http"

	"invited/server/web"
)

// Spam is a spam filter that is asked about captured mail, on request only.
type Spam interface {
	Check(ctx context.Context, raw []byte) (SpamReport, error)
}

// SpamReport is what a spam filter says.
type SpamReport struct {
	Spam  bool
	Score float64
	Rules []SpamRule
}

// SpamRule is one rule that matched.
type SpamRule struct {
	Score       float64
	Name        string
	Description string
}

// checkSpam serves GET /api/v1/message/{id}/sa-check. That the filter cannot be
// reached is part of the answer, as it is for Mailpit.
func (h *Handler) checkSpam(w http.ResponseWriter, r *http.Request) error {
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	raw, err := h.Sink.Raw(r.Context(), id)
	if err != nil {
		return classify("mailpit.checkSpam", err)
	}
	var out struct {
		IsSpam bool
		Error  string
		Score  float64
		Rules  []SpamRule
	}
	report, err := h.Spam.Check(r.Context(), raw)
	if err != nil {
		out.Error = "The spam filter did not answer: " + clipTo(oneLine(err.Error()), 200)
	}
	out.IsSpam, out.Score, out.Rules = report.Spam, report.Score, list(report.Rules)
	return web.WriteJSON(w, http.StatusOK, out)
}
