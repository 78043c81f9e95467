// What imapflow does with a mailbox. Arguments: host, port.
import assert from 'node:assert'
import { ImapFlow } from 'imapflow'

const client = new ImapFlow({
  host: process.argv[2], port: Number(process.argv[3]), secure: false,
  auth: { user: 'jane@fabrikam.example', pass: 'any' }, logger: false
})
await client.connect()
const folders = await client.list({ statusQuery: { messages: true, unseen: true } })
assert.strictEqual(folders.find((f) => f.specialUse === '\\Junk').path, 'Junk')
assert.strictEqual(folders.find((f) => f.path === 'INBOX').status.messages, 2)
let lock = await client.getMailboxLock('INBOX')
assert.strictEqual(client.mailbox.exists, 2)
const one = await client.fetchOne('1', { envelope: true, bodyStructure: true, flags: true, size: true, source: true, uid: true })
assert.strictEqual(one.envelope.subject, 'Grüße and more')
assert.strictEqual(one.envelope.from[0].address, 'ada@contoso.example')
assert.strictEqual(one.source.length, one.size)
assert.strictEqual(one.bodyStructure.childNodes.length, 3)
const { content, meta } = await client.download('1', '1.1')
let text = ''
for await (const chunk of content) text += chunk
assert.strictEqual(text.trim(), 'Guten Täg')
assert.strictEqual(meta.contentType, 'text/plain')
assert.deepStrictEqual(await client.search({ subject: 'second', seen: false }, { uid: true }), [2])
assert.deepStrictEqual(await client.search({ or: [{ from: 'nobody' }, { body: 'and the end' }] }, { uid: true }), [2])
await client.messageFlagsAdd('2', ['\\Seen', 'Followup'], { uid: true })
const two = await client.fetchOne('2', { flags: true }, { uid: true })
assert.ok(two.flags.has('\\Seen') && two.flags.has('Followup'))
const news = new Promise((resolve) => client.once('exists', resolve))
await client.append('INBOX', 'Subject: appended\r\n\r\nx\r\n', ['\\Flagged'])
assert.strictEqual((await news).count, 3)
const moved = await client.messageMove('2', 'Junk', { uid: true })
assert.ok(moved.uidMap.get(2) > 2)
assert.ok(await client.messageDelete('1', { uid: true }))
lock.release()
lock = await client.getMailboxLock('Junk')
assert.strictEqual(client.mailbox.exists, 2)
const all = []
for await (const m of client.fetch('1:*', { headers: ['subject'], labels: true, internalDate: true })) all.push(m.headers.toString())
assert.match(all.join(''), /win a prize[^]*second mail/)
lock.release()
await client.logout()
console.log('done')
