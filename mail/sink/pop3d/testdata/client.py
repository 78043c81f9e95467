"""What poplib does with a maildrop. Arguments: host, port."""
import poplib, sys

def connect():
    c = poplib.POP3(sys.argv[1], int(sys.argv[2]), timeout=20)
    c.user("jane@fabrikam.example")
    c.pass_("any password")
    return c

c = connect()
assert "UIDL" in c.capa() and "TOP" in c.capa()
count, size = c.stat()
assert count == 2
sizes = [int(line.split()[1]) for line in c.list()[1]]
assert sum(sizes) == size
for n, want in enumerate(sizes, 1):
    lines = c.retr(n)[1]
    assert sum(len(line) + 2 for line in lines) == want, (n, want, lines)
assert c.retr(1)[1][-3:] == [b".dot", b"..", b"end"]
assert c.top(1, 1)[1] == [b"From: Ada <ada@contoso.example>", b"Subject: one", b"", b".dot"]
ids = c.uidl()[1]
c.dele(1)
c.rset()
c.dele(1)
c.noop()
c.quit()
c = connect()
assert c.uidl()[1] == [b"1 " + ids[1].split()[1]]
c.quit()
print("done")
