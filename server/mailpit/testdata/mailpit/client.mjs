// Calls every method of the npm package mailpit-api against the server at
// SINK_URL, which client_test.go has prepared: it is empty, wants a login, and
// has a relay, a spam filter and chaos.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const { MailpitClient } = createRequire(join(process.env.MAILPIT_API_DIR, "package.json"))("mailpit-api");
const url = process.env.SINK_URL;
const login = { auth: { username: "ana", password: "pässword" } };

// mailpit counts which methods were called.
const called = new Set();
const mailpit = new Proxy(new MailpitClient(url, login), {
  get(client, name) {
    const method = client[name];
    return typeof method !== "function" ? method : (...args) => {
      called.add(name);
      return method.apply(client, args);
    };
  },
});

// Who does not log in learns nothing.
await assert.rejects(new MailpitClient(url).getInfo(), /401/);
await assert.rejects(new MailpitClient(url, { auth: { username: "ana", password: "wrong" } }).getInfo(), /401/);

// Sending.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const sent = await mailpit.sendMessage({
  From: { Email: "ana@fabrikam.example", Name: "Ana Übel" },
  To: [{ Email: "ben@contoso.example", Name: "Ben" }],
  Cc: [{ Email: "cc@contoso.example" }],
  Bcc: ["hidden@contoso.example"],
  ReplyTo: [{ Email: "reply@fabrikam.example" }],
  Subject: "Grüße from the client",
  Text: "Hello Ben,\nsee https://contoso.example/a",
  HTML: '<p style="display:flex">Hello <img src="cid:dot"> <a href="https://contoso.example/b">b</a></p>',
  Headers: { "X-Test": "yes" },
  Tags: ["first", "second tag"],
  Attachments: [
    { Content: pixel, Filename: "dot.png", ContentType: "image/png", ContentID: "dot" },
    { Content: "data:text/csv;base64," + btoa("a,b\n"), Filename: "table.csv" },
  ],
});
assert.match(sent.ID, /^[0-9a-f]{24}$/);
await assert.rejects(mailpit.sendMessage({ From: { Email: "x" }, To: [] }), /400.*"Error"/);

// Waiting and reading.
const found = await mailpit.waitForMessage({ query: "subject:Grüße" }, { timeout: 5000, interval: 50 });
assert.equal(found.ID, sent.ID);
assert.equal(found.From.Name, "Ana Übel");
assert.equal(found.Subject, "Grüße from the client");
assert.deepEqual(found.Bcc, [{ Name: "", Address: "hidden@contoso.example" }]);
assert.deepEqual(found.Tags.toSorted(), ["first", "second tag"]);
assert.equal(found.Username, "ana");
assert.equal(found.Inline.length, 1);
assert.equal(found.Attachments.length, 1);
assert.equal(found.Attachments[0].FileName, "table.csv");
const page = await mailpit.waitForMessages({ query: "from:fabrikam", count: 1, exact: true }, { timeout: 5000, interval: 50 });
assert.equal(page.messages_count, 1);
assert.equal((await mailpit.listMessages()).messages[0].Read, true);
assert.equal((await mailpit.listMessages(1, 1)).messages.length, 0);
assert.equal((await mailpit.searchMessages({ query: "is:tagged", start: 0, limit: 10, tz: "Europe/Berlin" })).messages_count, 1);
assert.deepEqual((await mailpit.getMessageHeaders())["X-Test"], ["yes"]);
assert.equal((await mailpit.getMessageSummary()).ID, sent.ID);
assert.match(await mailpit.getMessageSource(), /^Date: [\s\S]*\r\n\r\n/);
const csv = await mailpit.getMessageAttachment("latest", found.Attachments[0].PartID);
assert.equal(await csv.text(), "a,b\n");
assert.match(csv.type, /^text\/csv/);
const thumb = await mailpit.getAttachmentThumbnail("latest", found.Inline[0].PartID);
assert.equal(thumb.type, "image/jpeg");
assert.match(await mailpit.renderMessageHTML(), /data:image\/png;base64,/);
assert.match(await mailpit.renderMessageHTML(sent.ID, 1), /Hello/);
assert.match(await mailpit.renderMessageText("latest"), /^Hello Ben,/);

// Checks.
const check = await mailpit.htmlCheck();
assert.equal(check.Warnings[0].Slug, "css-display-flex");
assert.ok(check.Total.Unsupported > 0 && check.Total.Supported < 100);
const links = await mailpit.linkCheck("latest", true);
assert.equal(links.Errors, 0);
assert.deepEqual(links.Links.map((l) => [l.URL, l.StatusCode]), [["https://contoso.example/a", 0], ["https://contoso.example/b", 0]]);
assert.equal((await mailpit.spamAssassinCheck()).Score, 1.5);

// Marks and tags.
assert.equal(await mailpit.setReadStatus({ IDs: [sent.ID], Read: false }), "ok");
assert.equal((await mailpit.listMessages()).unread, 1);
assert.equal(await mailpit.setReadStatus({ Search: "after:2020-01-01", Read: true }, { tz: "America/Chicago" }), "ok");
assert.equal(await mailpit.setReadStatus(), "ok");
assert.deepEqual(await mailpit.getTags(), ["first", "second tag"]);
assert.equal(await mailpit.renameTag("second tag", "third"), "ok");
await assert.rejects(mailpit.renameTag("third", "first"), /400.*exists/);
await assert.rejects(mailpit.renameTag("none", "other"), /400/);
assert.equal(await mailpit.deleteTag("first"), "ok");
assert.equal(await mailpit.setTags({ IDs: [sent.ID], Tags: ["last"] }), "ok");
assert.deepEqual(await mailpit.getTags(), ["last"]);

// Configuration, chaos, release.
const info = await mailpit.getInfo();
assert.equal(info.Messages, 1);
assert.deepEqual(info.Tags, { last: 1 });
assert.equal(info.RuntimeStats.SMTPAccepted, 7);
const config = await mailpit.getConfiguration();
assert.ok(config.ChaosEnabled && config.SpamAssassin && config.MessageRelay.Enabled);
assert.deepEqual((await mailpit.getChaosTriggers()).Authentication, { ErrorCode: 535, Probability: 0 });
assert.deepEqual(await mailpit.setChaosTriggers({ Sender: { ErrorCode: 421, Probability: 30 } }), {
  Sender: { ErrorCode: 421, Probability: 30 },
  Recipient: { ErrorCode: 451, Probability: 0 },
  Authentication: { ErrorCode: 535, Probability: 0 },
});
assert.equal((await mailpit.setChaosTriggers()).Sender.Probability, 0);
assert.equal(await mailpit.releaseMessage("latest", { To: ["carla@fabrikam.example"] }), "ok");
await assert.rejects(mailpit.releaseMessage(sent.ID, { To: ["somebody@contoso.com"] }), /400/);

// Deleting.
await mailpit.sendMessage({ From: { Email: "ana@fabrikam.example" }, To: [{ Email: "ben@contoso.example" }], Subject: "two" });
assert.equal(await mailpit.deleteMessagesBySearch({ query: "subject:two" }), "ok");
assert.equal(await mailpit.deleteMessages({ IDs: [sent.ID] }), "ok");
assert.equal((await mailpit.waitForMessages({ count: 0 }, { timeout: 5000, interval: 50 })).total, 0);
assert.equal(await mailpit.deleteMessages(), "ok");
await assert.rejects(mailpit.getMessageSummary(), /404/);

// Nothing was forgotten.
const methods = Object.getOwnPropertyNames(MailpitClient.prototype).filter((n) => n !== "constructor" && n !== "request");
assert.deepEqual(methods.filter((n) => !called.has(n)), []);
console.log(`${called.size} methods`);
