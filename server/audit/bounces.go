package audit

// What is ours about mail that came back: Entra has no words for it.
const (
	EmailBounced    Activity = "Email returned"
	EmailLate       Activity = "Email delayed"
	EmailComplaint  Activity = "Email reported as junk"
	EmailSuppressed Activity = "Email not sent, address suppressed"
	SuppressAddress Activity = "Suppress address"
	LiftSuppression Activity = "Lift suppression"
)
