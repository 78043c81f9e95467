"""What imaplib does with a mailbox. Arguments: host, port."""
import imaplib, sys, email, email.policy

def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data

c = imaplib.IMAP4(sys.argv[1], int(sys.argv[2]), timeout=20)
ok(c.login("jane@fabrikam.example", "any \"pass\\word"))
folders = ok(c.list())
assert any(b"\\Junk" in f and f.endswith(b'"Junk"') for f in folders), folders
assert len(ok(c.lsub())) == 2
status = ok(c.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY RECENT)"))[0]
assert b"MESSAGES 2" in status and b"UNSEEN 2" in status, status
assert ok(c.select("INBOX")) == [b"2"]
assert ok(c.search(None, "ALL")) == [b"1 2"]
assert ok(c.search(None, '(FROM "ada" SUBJECT "second")')) == [b"2"]
assert ok(c.search("UTF-8", "UNSEEN", "LARGER", "10", "SINCE", "1-Jan-2020", "NOT", "KEYWORD", "x")) == [b"1 2"]
assert ok(c.search(None, "OR", "HEADER", "Message-ID", "<three@contoso.example>", "BODY", "nowhere")) == [b"1"]
assert ok(c.search(None, "SMALLER", "1", "UID", "1:*")) == [b""]
assert ok(c.search(None, "BEFORE", "1-Jan-2020")) == [b""]
size = int(ok(c.fetch("1", "(RFC822.SIZE)"))[0].split()[-1].rstrip(b")"))
assert ok(c.uid("fetch", "1", "(FLAGS)"))[0] == b"1 (UID 1 FLAGS ())"
raw = ok(c.fetch("1", "(BODY.PEEK[])"))[0][1]
assert len(raw) == size
assert ok(c.uid("fetch", "1", "(FLAGS)"))[0] == b"1 (UID 1 FLAGS ())", "a peek does not read"
assert ok(c.fetch("1", "(BODY.PEEK[]<0.10>)"))[0][1] == raw[:10]
m = email.message_from_bytes(ok(c.fetch("1", "(RFC822)"))[0][1], policy=email.policy.default)
assert m["subject"] == "Grüße and more", m["subject"]
assert b"\\Seen" in ok(c.uid("fetch", "1", "(FLAGS)"))[0]
structure = ok(c.fetch("1", "(BODYSTRUCTURE ENVELOPE INTERNALDATE)"))
assert b'"ALTERNATIVE"' in repr(structure).upper().encode(), structure
assert b"$Todo" in ok(c.store("2", "+FLAGS", "($Todo \\Flagged)"))[-1]
c.noop()
assert ok(c.search(None, "KEYWORD", "$todo")) == [b"2"]
ok(c.copy("1", "Junk"))
ok(c.store("1", "+FLAGS", "\\Deleted"))
assert ok(c.expunge()) == [b"1"]
assert ok(c.select("Junk", readonly=True)) == [b"2"]
assert c.store("1", "+FLAGS", "\\Seen")[0] == "NO", "the folder is read-only"
ok(c.append("INBOX", "\\Draft", None, b"Subject: kept\r\n\r\nx\r\n"))
ok(c.select("INBOX"))
assert ok(c.search(None, "DRAFT")) == [b"2"]
ok(c.close())
assert c.create("Other")[0] == "NO"
c.logout()

c = imaplib.IMAP4(sys.argv[1], int(sys.argv[2]), timeout=20)
ok(c.authenticate("PLAIN", lambda _: b"\0jane@fabrikam.example\0any"))
c.logout()
print("done")
