package smtpd

// Described lets a fuzz test look at what a transcript says of a command.
func Described(line string) string { return plain(described(line)) }
