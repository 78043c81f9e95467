package audit

// RedriveMail is an operator queueing a mail again that had failed or waited.
const RedriveMail Activity = "Redrive mail"
