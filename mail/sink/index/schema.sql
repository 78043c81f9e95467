-- seq is dense, because the full-text index stores differences of row numbers.
CREATE TABLE messages (
	seq         INTEGER PRIMARY KEY,
	key         INTEGER NOT NULL UNIQUE,
	segment     INTEGER NOT NULL,
	offset      INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	received    INTEGER NOT NULL, -- Unix milliseconds
	read        INTEGER NOT NULL DEFAULT 0,
	tagged      INTEGER NOT NULL DEFAULT 0, -- number of tags
	attachments INTEGER NOT NULL,
	inline      INTEGER NOT NULL,
	inbox       INTEGER NOT NULL, -- number of recipients that have it there
	junk        INTEGER NOT NULL,
	message_id  TEXT NOT NULL
);
CREATE INDEX messages_message_id ON messages (message_id) WHERE message_id <> '';
CREATE INDEX messages_unread ON messages (seq) WHERE read = 0;
CREATE INDEX messages_junk ON messages (seq) WHERE junk > 0;
CREATE INDEX messages_segment ON messages (segment);

-- What pages of results show, and the texts that searches look into; the short
-- ones first, so that the long ones are not read for them.
CREATE TABLE bodies (
	seq      INTEGER PRIMARY KEY,
	sender   TEXT NOT NULL,
	rcpt_to  TEXT NOT NULL,
	rcpt_cc  TEXT NOT NULL,
	rcpt_bcc TEXT NOT NULL,
	reply_to TEXT NOT NULL,
	subject  TEXT NOT NULL,
	msgid    TEXT NOT NULL,
	body     TEXT NOT NULL,
	summary  BLOB NOT NULL
);

CREATE TABLE recipients (
	seq     INTEGER NOT NULL,
	n       INTEGER NOT NULL,
	rcpt    TEXT NOT NULL,
	address TEXT NOT NULL,
	junk    INTEGER NOT NULL,
	verdict BLOB NOT NULL,
	PRIMARY KEY (seq, n)
) WITHOUT ROWID;
CREATE INDEX recipients_rcpt ON recipients (rcpt, seq, junk);

-- How a recipient's folders list a message that was moved, copied or flagged
-- there. A message without a row is listed once, under the number seq, in the
-- folder that recipients names; with rows, as they say.
CREATE TABLE entries (
	seq   INTEGER NOT NULL,
	n     INTEGER NOT NULL, -- of recipients
	uid   INTEGER NOT NULL,
	junk  INTEGER NOT NULL,
	flags TEXT NOT NULL, -- with a space between them
	PRIMARY KEY (seq, n, uid)
) WITHOUT ROWID;

CREATE TABLE tags (
	seq INTEGER NOT NULL,
	tag TEXT NOT NULL COLLATE NOCASE,
	PRIMARY KEY (seq, tag)
) WITHOUT ROWID;
CREATE INDEX tags_tag ON tags (tag, seq);

CREATE TABLE mailboxes (
	rcpt         TEXT PRIMARY KEY,
	address      TEXT NOT NULL,
	inbox        INTEGER NOT NULL,
	junk         INTEGER NOT NULL,
	unread_inbox INTEGER NOT NULL,
	unread_junk  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE totals (
	messages     INTEGER NOT NULL,
	unread       INTEGER NOT NULL,
	inbox        INTEGER NOT NULL,
	junk         INTEGER NOT NULL,
	unread_inbox INTEGER NOT NULL,
	unread_junk  INTEGER NOT NULL,
	bytes        INTEGER NOT NULL
);
INSERT INTO totals VALUES (0, 0, 0, 0, 0, 0, 0);

-- Messages of each segment of the log that are not deleted.
CREATE TABLE segments (
	segment INTEGER PRIMARY KEY,
	live    INTEGER NOT NULL
);

CREATE TABLE shards (
	shard INTEGER PRIMARY KEY,
	first INTEGER NOT NULL, -- seq
	last  INTEGER NOT NULL,
	held  INTEGER NOT NULL  -- messages ever put into it
);

-- How far the log is indexed, and the last numbers given. Entries take theirs
-- from seq, too.
CREATE TABLE state (
	segment INTEGER NOT NULL,
	offset  INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	newest  INTEGER NOT NULL, -- key of the last message added
	shard   INTEGER NOT NULL,
	began   INTEGER NOT NULL -- Unix seconds; greater if the numbers were given anew
);
INSERT INTO state VALUES (0, 0, 0, 0, 0, CAST(strftime('%s', 'now') AS INTEGER));
