// Runs every case of tests/vectors that is about reading, and the weak signatures of tests/identity:
//   node vectors.mjs VECTORS IDENTITY
// Prints one JSON object: per file how many cases agreed, and each that did not.

import { acceptBundle, makeBundle, readBundle } from "./bundle.mjs";
import { equal, hex, insist, unhex, utf8 } from "./bytes.mjs";
import * as chains from "./chain.mjs";
import * as crypto from "./crypto.mjs";
import { fold, isBot, readersOf } from "./fold.mjs";
import * as links from "./link.mjs";
import * as logins from "./login.mjs";
import * as messages from "./message.mjs";
import { openParcel, sealParcel } from "./parcel.mjs";
import * as records from "./record.mjs";
import { directRoom, directState, nextTranscript, Room } from "./room.mjs";
import { answersNeed } from "./sender.mjs";
import { like, load, loadOwn, plain, reasonOf, report, same } from "./tally.mjs";
import { replay } from "./threads.mjs";

// The states of a log. Histories share their beginnings, and a signature takes milliseconds to check.
const folded = new Map();
const foldAll = (log) => {
  const states = [];
  for (const bytes of log) {
    const before = states.at(-1) ?? null;
    const known = folded.get(bytes);
    if (!known || known.before !== before) folded.set(bytes, { before, state: fold(before, unhex(bytes)).state });
    states.push(folded.get(bytes).state);
  }
  return states;
};

function hashing() {
  const { H, K, nonce24, file: plainHashes } = load("hashing");
  for (const one of H) same(one.out, crypto.H(one.person, unhex(one.data)), one.person);
  for (const one of K) same(one.out, crypto.K(unhex(one.key), one.person, unhex(one.data)), one.person);
  for (const one of nonce24) same(one.out, crypto.K(unhex(one.key), one.person, unhex(one.data), 24), "nonce24");
  for (const one of plainHashes) same(one.out, crypto.plainHash(unhex(one.data)), "file");
}

async function signing() {
  const { good, refused } = load("signing");
  for (const { label, seed, public: key, body, signed, signature } of good) {
    const made = [crypto.publicKey(unhex(seed)), crypto.signedBytes(label, unhex(body))];
    same([key, signed, signature], [...made, crypto.sign(label, unhex(seed), unhex(body))], label);
    crypto.verify(label, unhex(key), unhex(body), unhex(signature));
  }
  await refuseAll(refused);
  await refuseAll(loadOwn("refused_signatures"));
}

async function refuseAll(refused) {
  for (const { why, label, public: key, body, signature } of refused) {
    const judge = () => crypto.verify(label, unhex(key), unhex(body), unhex(signature));
    same("signature", await reasonOf(judge), why);
  }
}

const byIdentity = (a, b) => Buffer.compare(a.identity, b.identity);
function stateOf(state) {
  const person = (member) => ({
    identity: member.identity,
    inst: member.inst,
    role: member.role,
    muted: member.muted,
    guest: (member.flags & 1) !== 0,
    post_only: isBot(member),
    invite: member.invite,
    nick: member.nick,
  });
  const invite = ({ key, uses, creator, flags }) => ({ key, uses_left: uses, creator, flags });
  return {
    n: state.n,
    head: state.head,
    epoch: state.epoch,
    closed: state.closed,
    members: [...state.members.values()].sort(byIdentity).map(person),
    pending: [...state.pending.values()].sort(byIdentity).map(person),
    invites: [...state.invites.values()].sort((a, b) => Buffer.compare(a.key, b.key)).map(invite),
    banned: [...state.banned].sort(),
  };
}
async function recordsAndRefusals() {
  const { single, histories, full } = load("records");
  for (const one of single) {
    const read = records.readRecord(unhex(one.bytes));
    records.checkSignatures(read);
    const fields = Object.entries(one.fields).map(([k, v]) => [k, typeof v === "string" ? unhex(v) : v]);
    const source = { ...one, room: unhex(one.room), prev: unhex(one.prev), fields: Object.fromEntries(fields) };
    same(
      one.bytes,
      records.makeRecord(source, unhex(one.actor_seed), one.invite_seed && unhex(one.invite_seed)),
      one.name,
    );
    same(one.fields, like(one.fields, read), one.name);
    const head = one.type === 0 ? records.roomId(read.bytes) : records.nextHead(read.prev, read.bytes);
    same(one.head, head, one.name);
  }
  for (const history of Object.values(histories)) {
    const states = foldAll(history.map(({ bytes }) => bytes));
    for (const [i, { note, state }] of history.entries()) same(state, like(state, stateOf(states[i])), note);
  }
  await fullLog(full);
  const refusals = load("refusals");
  for (const { name, history, after, record, reason } of refusals.cases) {
    const before = foldAll(refusals.histories[history].slice(0, after)).at(-1) ?? null;
    const then = before && plain(stateOf(before));
    same(reason, await reasonOf(() => fold(before, unhex(record))), name);
    insist(!before || plain(stateOf(before)) === then, "state");
  }
}

async function fullLog(full) {
  // Folded from just before its end: 10,000 signatures would be made and checked for one number.
  let { state } = fold(null, unhex(full.genesis));
  const last = records.readRecord(unhex(full.last_info));
  state = { ...state, n: last.n - 1, head: last.prev };
  ({ state } = fold(state, last.bytes));
  same(full.heads.find(({ n }) => n === last.n)?.head ?? hex(state.head), state.head, "record 9,999");
  const closed = fold(state, unhex(full.close)).state;
  same(full.head, closed.head, "CLOSE");
  for (const { name, after, record, reason } of full.refused) {
    same(reason, await reasonOf(() => fold(after === 10_000 ? state : closed, unhex(record))), name);
  }
}

async function linksAndTexts() {
  const { valid, malformed } = load("link");
  for (const { link, fields, invite_seed: seed, invite_public: key } of valid) {
    const read = links.readLink(link);
    same([fields, link], [like(fields, read), links.writeLink(read)], "link");
    same({ seed, key }, links.inviteOf(read), "invite");
  }
  for (const { why, link } of malformed) same("format", await reasonOf(() => links.readLink(link)), why);
  const info = load("info");
  for (const { rik, nonce, text, info: sealed } of info.good) {
    const written = Buffer.from(text, "hex").toString("utf8");
    same(
      [text, sealed],
      [utf8(links.openText(unhex(rik), unhex(sealed))), links.sealText(unhex(rik), written, 1024, unhex(nonce))],
      "info",
    );
  }
  for (const { why, reason, rik, info: sealed } of info.refused) {
    same(reason, await reasonOf(() => links.openText(unhex(rik), unhex(sealed))), why);
  }
  for (const { limit, bytes } of info.too_long) {
    const key = new Uint8Array(32);
    same("format", await reasonOf(() => links.sealText(key, "a".repeat(bytes), limit)), "too long");
    same(limit >= 1, links.sealText(key, "a".repeat(bytes - 1), limit).length <= limit, "just fits");
  }
}

async function bundlesAndParcels() {
  const { make, accept } = load("bundle");
  for (const one of make) {
    const made = await makeBundle(
      unhex(one.identity_seed),
      one.ctr,
      one.exp,
      unhex(one.x25519_private),
      unhex(one.mlkem_seed),
    );
    same([one.bundle, one.bid], [made.bytes, made.bid], "bundle");
  }
  for (const { name, bundle, now, seen_ctr: ctr, seen_bid: bid, known, result } of accept) {
    const seen = { ctr: BigInt(ctr), bid: bid ? unhex(bid) : null };
    const got = await reasonOf(() => acceptBundle(readBundle(unhex(bundle)), BigInt(now), seen, known));
    same(result, got === "accepted" ? "accept" : got, name);
  }
  const { reader, members, good, refused, cannot_seal_to: unsealable } = load("parcel");
  const keys = await makeBundle(
    unhex(reader.identity_seed),
    0,
    0,
    unhex(reader.x25519_private),
    unhex(reader.mlkem_seed),
  );
  const to = readBundle(unhex(reader.bundle));
  const me = { identity: to.identity, bundles: [{ ...keys, bid: to.bid }] };
  for (const one of good) {
    same(one.opened, like(one.opened, await openParcel(unhex(one.parcel), me)), "good");
    const statement = { room: unhex(one.opened.room), kind: one.opened.kind, body: unhex(one.opened.body) };
    const chance = {
      e: unhex(one.e),
      m: unhex(one.encaps_m),
      inner: unhex(one.nonce_inner),
      outer: unhex(one.nonce_outer),
    };
    same(one.parcel, await sealParcel(unhex(one.from_seed), to, statement, chance), "sealed");
  }
  for (const { why, reason, parcel } of refused) {
    const judge = async () => insist(members.includes(hex((await openParcel(unhex(parcel), me)).from)), "member");
    same(reason, await reasonOf(judge), why);
  }
  for (const { why, x25519, mlkem } of unsealable) {
    const broken = { ...to, x25519: unhex(x25519), mlkem: mlkem ? unhex(mlkem) : to.mlkem };
    const statement = { room: to.bid, kind: 2, body: new Uint8Array(72) };
    const outcome = await sealParcel(unhex(reader.identity_seed), broken, statement).then(
      () => "sealed",
      () => "refused",
    );
    same("refused", outcome, why);
  }
}

const unhexed = (fields) =>
  Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, typeof v === "string" ? unhex(v) : v]));
function chain() {
  const cases = load("chain");
  const states = foldAll(cases.log);
  const fields = { ...unhexed(cases.fields), prevCount: cases.fields.prev_count };
  same([cases.chn, cases.chain], [chains.writeStatement(fields), chains.chainId(unhex(cases.chn))], "statement");
  for (const { i, ck, mk, next } of cases.ratchet) {
    const id = unhex(cases.chain);
    same([mk, next], [chains.messageKey(id, i, unhex(ck)), chains.nextState(id, i, unhex(ck))], `step ${i}`);
  }
  same(cases.grant.body, chains.grantBody(unhex(cases.chn), cases.grant.i, unhex(cases.ck0)), "grant");
  for (const { name, reader, log, before, from, body, result } of cases.accept) {
    const room = new Room(unhex(reader), states.slice(0, log), 0, states[0].head);
    for (const one of before) room.grant(unhex(one.from), unhex(one.body));
    same(result, room.grant(unhex(from), unhex(body)).result, name);
  }
  for (const { log, readers } of cases.audience) {
    same(
      [...readers].sort(),
      readersOf(states[log - 1])
        .map((m) => hex(m.identity))
        .sort(),
      "audience",
    );
  }
  for (const one of cases.need) {
    const live = one.live && { i: one.index, epoch: one.chain_epoch };
    same(one.answer, answersNeed(states[one.log - 1], unhex(one.from), live, one.last, one.now), one.name);
  }
}

const told = ({ refused, held, sender, plain: text, lost, lostBefore, stale, s }) => {
  const place = s === undefined ? {} : { s };
  if (held) return { held: true };
  return refused ? { ...place, refused } : { ...place, sender, plain: text, lost, lost_before: lostBefore, stale };
};
function step(room, { do: what, from, bytes, id, body }) {
  if (what === "chain") return room.grant(unhex(from), unhex(body));
  if (what === "record") return { opened: room.record(unhex(bytes)) };
  return what === "id" ? room.bare(unhex(id)) : { result: told(room.message(unhex(bytes))) };
}
function play(name, room, steps) {
  for (const one of steps) {
    const came = step(room, one) ?? {};
    const got = { result: came.result, opened: came.opened?.map(told), s: room.s, t: room.t };
    same({ result: one.result, opened: one.opened, s: one.s, t: one.t }, got, `${name}: ${one.note}`);
  }
}

function message() {
  const { seal, receive, relay } = load("message");
  for (const one of seal) {
    const { plaintext: text, ck } = one;
    const [start, again, count] = typeof text === "string" ? [text, "", 0] : text.repeat;
    const header = unhexed(one.header);
    const made = messages.seal(
      header,
      unhex(ck),
      unhex(one.csk_seed),
      unhex(start + again.repeat(count)),
      unhex(one.random),
    );
    const bytes = one.envelope ? made : crypto.plainHash(made);
    const out = [bytes, messages.messageId(made), chains.nextState(header.chain, header.i, unhex(ck))];
    same([one.envelope ?? one.envelope_blake2b, one.id, one.next_ck], out, "seal");
  }
  for (const { name, reader, log, s, t, steps } of receive) {
    play(name, new Room(unhex(reader), foldAll(log), s, unhex(t)), steps);
  }
  for (const one of relay.cases) same(one.result, relayAnswer(foldAll(relay.log.slice(0, one.log)), one), one.name);
}

// §7.6, for a log and nothing else; the epoch asked for is that at the header's n.
function relayAnswer(states, { identity, envelope: bytes }) {
  const now = states.at(-1);
  let envelope;
  try {
    envelope = messages.readEnvelope(unhex(bytes));
  } catch {
    return "format";
  }
  if (!equal(envelope.room, now.room)) return "format";
  const sender = now.members.get(identity);
  if (!sender) return "not-member";
  if (now.closed) return "closed";
  if (sender.muted) return "muted";
  const transcript = [now.room];
  for (const state of states.slice(1))
    transcript.push(nextTranscript(transcript.at(-1), transcript.length, 0, state.head));
  const [t, at] = [transcript[Number(envelope.s)], states[envelope.n]];
  if (!t || !equal(t, envelope.t) || !at || !equal(at.head, envelope.head)) return "bad-history";
  return at.epoch === now.epoch ? "done" : "epoch-moved";
}

function content() {
  const { plaintexts, threads } = load("content");
  for (const one of plaintexts) {
    const read = messages.readPlaintext(unhex(one.plaintext));
    const { id, text, emoji, name, caption, ...others } = read.fields ?? {};
    const bytes = { id, text: text && utf8(text), emoji: emoji && utf8(emoji), ...others };
    Object.assign(bytes, name === undefined ? {} : { name: utf8(name), caption: utf8(caption) });
    const fields = one.fields && like(one.fields, bytes);
    same(
      [one.class, one.kind, one.clock, one.ctr, one.fields],
      [read.class, read.kind, read.clock, read.ctr, fields],
      one.name,
    );
    if (read.class === "ok") same(one.plaintext, messages.writePlaintext(read), one.name);
  }
  for (const { name, events, orders, lines } of threads) {
    for (const order of orders)
      thread(
        name,
        order.map((s) => events.find((one) => one.s === s)),
        lines,
      );
  }
}
function thread(name, events, lines) {
  const known = events.map((one) => ({
    ...unhexed({ ...one, note: 0, result: 0 }),
    content: one.plaintext && messages.readPlaintext(unhex(one.plaintext)),
  }));
  const shown = replay(known);
  same(Object.fromEntries(events.map((e) => [e.s, e.result])), Object.fromEntries(shown.results), name);
  const asBytes = (line) => ({
    ...line,
    text: line.text === null ? null : utf8(line.text),
    reactions: line.reactions.map((r) => ({ ...r, emoji: utf8(r.emoji) })),
  });
  const sorted = (line) => ({ ...line, reactions: line.reactions.map(plain).sort() });
  same(lines.map(sorted), like(lines, shown.lines.map(asBytes)).map(sorted), `${name}: lines`);
}

async function login() {
  const cases = load("login");
  for (const { note, der, spki } of cases.certificates) same(spki, logins.pinOf(unhex(der)), note);
  for (const { identity_seed: seed, identity, spki, sn, cn, body, answer } of cases.login) {
    const seen = [unhex(spki), unhex(sn)];
    same(answer, logins.login(unhex(seed), ...seen, unhex(cn)), "login");
    same(body, logins.loginBody(...seen, unhex(cn), unhex(identity)), "login body");
    same(identity, logins.checkLogin(unhex(answer), ...seen), "login checked");
  }
  for (const { why, reason, answer, spki, sn } of cases.refused) {
    same(reason, await reasonOf(() => logins.checkLogin(unhex(answer), unhex(spki), unhex(sn))), why);
  }
  const { spki, sn, cn, room, body, invite_seed: seed, signature } = cases.peek;
  const seen = [spki, sn, cn, room].map(unhex);
  same([body, signature], [logins.peekBody(...seen), logins.peek(unhex(seed), ...seen)], "peek");
}

async function others() {
  const { room, t0, events, step: large } = load("transcript");
  let t = unhex(t0);
  same(room, t, "T_0");
  for (const event of events) {
    t = nextTranscript(t, event.s, event.kind, unhex(event.event));
    same(event.t, t, `event ${event.s}`);
  }
  same(large.next, nextTranscript(unhex(large.t), large.s, large.kind, unhex(large.event)), "a large s");
  const safety = load("safety");
  for (const one of safety.room) same(one.code, logins.roomCode(unhex(one.room), one.n, unhex(one.head)), "room");
  for (const { a, b, code } of safety.pair) same(code, logins.pairCode(unhex(a), unhex(b)), "pair");
  const dm = load("dm");
  for (const { a, b, room: id } of dm.rooms) same(id, directRoom(unhex(a), unhex(b)), "direct room");
  for (const { a, b } of dm.refused) same("state", await reasonOf(() => directRoom(unhex(a), unhex(b))), "oneself");
  same(dm.chain, chains.chainId(unhex(dm.chn)), "chain");
  const { name, reader, peer, s, t: start, steps } = dm.receive;
  play(name, new Room(unhex(reader), [directState(unhex(reader), unhex(peer))], s, unhex(start)), steps);
}

hashing();
await signing();
await recordsAndRefusals();
await linksAndTexts();
await bundlesAndParcels();
chain();
message();
content();
await login();
await others();
process.stdout.write(`${JSON.stringify(report)}\n`);
