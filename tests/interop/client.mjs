// §11: one member of one room, from the link to the last message. It keeps nothing: each start is a new identity.

import { acceptBundle, FOURTEEN_DAYS, makeBundle, readBundle } from "./bundle.mjs";
import { equal, hex, insist, Refused } from "./bytes.mjs";
import { plainHash, publicKey, random } from "./crypto.mjs";
import { dial } from "./connection.mjs";
import { fetchFile } from "./file.mjs";
import { fold } from "./fold.mjs";
import { inviteOf, openText, sealText, shownText } from "./link.mjs";
import { login, peek } from "./login.mjs";
import { messageId, readPlaintext, writePlaintext } from "./message.mjs";
import { CHAIN, NEED, needBody, openParcel, readNeed, sealParcel } from "./parcel.mjs";
import { JOIN, makeRecord, readRecord, REDACT, TYPES } from "./record.mjs";
import { Room } from "./room.mjs";
import { answersNeed, Sender } from "./sender.mjs";
import { replay } from "./threads.mjs";

const FIVE_MINUTES = 300_000;
const ONE_DAY = 86_400_000n;
const MOST_JOINS = 20;
const MOST_SEALS = 5;
const RESENT = ["limited", "store-failed"];
const SEALED_ANEW = ["epoch-moved", "bad-history"];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Client {
  // `tell` is called with every event for the person, a plain object.
  constructor(link, nick, tell) {
    const seed = random(32);
    Object.assign(this, { link, nick, tell, seed, identity: publicKey(seed), sender: new Sender(seed) });
    Object.assign(this, { seen: new Map(), returning: new Map(), asked: new Map(), answered: new Map() });
    Object.assign(this, { thread: [], sending: Promise.resolve(), isStopped: false, isForked: false });
  }

  async connect() {
    this.relay = await dial(this.link);
    const { nonce, now } = await this.relay.next();
    insist(Math.abs(Date.now() - Number(now)) <= FIVE_MINUTES, "clock");
    this.sn = nonce;
    await this.relay.login(login(this.seed, this.link.spki, nonce, random(32)));
  }

  // §11.1. A head that moved is folded, and everything is asked again before the next JOIN is signed.
  async join() {
    const { link } = this;
    const invite = inviteOf(link);
    const cn = random(32);
    await this.relay.request("Peek", link.room, invite.key, cn, peek(invite.seed, link.spki, this.sn, cn, link.room));
    const { pages } = await this.relay.request("Log", link.room, -1);
    const states = [];
    const take = (bytes) => states.push(fold(states.at(-1) ?? null, bytes).state);
    pages.forEach(take);
    const { flags } = this.judge(states, invite);
    await this.publish(flags & 1 ? ONE_DAY : FOURTEEN_DAYS);
    for (let attempt = 0; attempt < MOST_JOINS; attempt += 1) {
      this.judge(states, invite);
      const record = this.signJoin(states.at(-1), invite);
      try {
        const { s, transcript } = await this.relay.request("Submit", link.room, record);
        take(record);
        this.room = new Room(this.identity, states, s, transcript);
        this.tell({ event: "joined", n: this.room.n, s, identity: this.identity, record });
        return;
      } catch (error) {
        if (error.code !== "head-moved" && error.code !== "turn-taken") throw error;
        error.records.forEach(take);
        await this.relay.request("Turn", link.room);
      }
    }
    throw new Refused("head-moved", "others were faster every time");
  }

  judge(states, invite) {
    const [{ room, info }, now] = [states[0], states.at(-1)];
    insist(equal(room, this.link.room) && states.length > this.link.n, "position");
    insist(equal(states[this.link.n].head, this.link.head), "position");
    openText(this.link.rik, info);
    const live = now.invites.get(hex(invite.key));
    insist(live && !now.banned.has(hex(this.identity)), "state");
    return live;
  }

  signJoin(state, invite) {
    const taken = [...state.members.values()].map((member) => shownText(this.link.rik, member.nick));
    while (taken.includes(this.nick)) this.nick += "2";
    const fields = { key: invite.key, info: sealText(this.link.rik, this.nick, 256) };
    const place = { room: state.room, n: state.n + 1, prev: state.head, t: Date.now() };
    return makeRecord({ type: JOIN, ...place, fields }, this.seed, invite.seed);
  }

  // One bundle lasts for as long as this program is meant to run.
  async publish(lifetime) {
    const ctr = BigInt(Date.now());
    this.bundle = await makeBundle(this.seed, ctr, ctr + lifetime);
    await this.relay.request("Publish", this.bundle.bytes);
    this.tell({ event: "bundle", bundle: this.bundle.bytes });
  }

  get member() {
    return this.room.state.members.get(hex(this.identity));
  }

  nickOf(identity) {
    const member = this.room.state.members.get(hex(identity));
    return member ? shownText(this.link.rik, member.nick) : "";
  }

  follow() {
    this.isFollowing = true;
    this.relay.request("Follow", this.link.room, this.room.s).catch((error) => this.stop(error.reason));
  }

  // Everything that the relay tells, one after the other, until the connection or the membership is over.
  async run() {
    if (this.member) this.follow();
    for (let frame = await this.relay.next(); frame; frame = await this.relay.next()) {
      if (frame.name === "Event") this.take(frame);
      else if (frame.name === "Parcel") await this.takeParcel(frame);
      else if (frame.name === "LogMoved") await this.readLog();
      else if (frame.name === "CaughtUp") this.tell({ event: "ready", s: frame.s });
      else if (frame.name === "Goodbye") this.tell({ event: "goodbye", code: frame.code });
      if (this.isFollowing && !this.member) return this.tell({ event: "out" });
    }
    return this.tell({ event: "disconnected" });
  }

  // §7.5. What is said from now on would go into one of two rooms; reading goes on.
  forked() {
    this.isForked = true;
    this.tell({ event: "forked" });
  }

  stop(reason) {
    this.isStopped = true;
    this.tell({ event: "stopped", reason });
  }

  async readLog() {
    const { pages } = await this.relay.request("Log", this.link.room, this.room.state.n);
    for (const bytes of pages) this.orStop(() => this.showOpened(this.room.learn(bytes)));
    if (!this.isFollowing && this.member) this.follow();
  }

  // A record that cannot be applied, or an event out of order, ends the room: behind it are two histories.
  orStop(act) {
    if (this.isStopped) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.stop(error.reason);
      this.relay.socket.end();
    }
  }

  take({ room, s, kind, sender, body }) {
    if (!equal(room, this.link.room)) return;
    this.orStop(() => {
      insist(s === this.room.s + 1n, "position");
      if (kind === 0) this.takeRecord(body, s);
      else if (kind === 2) this.room.bare(body);
      else this.takeMessage(body, s, sender);
    });
  }

  takeRecord(bytes, s) {
    const opened = this.room.record(bytes);
    const record = readRecord(bytes);
    this.tell({ event: "record", s, n: record.n, type: TYPES[record.type].name, nick: this.nickOf(record.actor) });
    if (record.type === REDACT && this.outranks(record)) this.thread.push({ s, redact: record.message });
    this.showOpened(opened);
  }

  outranks({ actor, message, n }) {
    const { members } = this.room.states[n];
    const line = this.said(hex(message));
    const author = line && members.get(hex(line.identity));
    const rank = author && equal(author.inst, line.inst) ? author.role : 0;
    return members.get(hex(actor)).role > rank;
  }

  takeMessage(bytes, s, sender) {
    const id = messageId(bytes);
    const own = this.returning.get(hex(id));
    if (own) {
      this.returning.delete(hex(id));
      this.room.bare(id);
      this.thread.push({ s, id, identity: this.identity, inst: this.member.inst, content: own.content });
      return own.resolve();
    }
    const came = this.room.message(bytes);
    if (came.held) this.need(came.chain, sender);
    return this.showOpened([{ s, ...came }]);
  }

  showOpened(all) {
    for (const { s, held, refused, sender, inst, id, plain, lost, lostBefore, stale } of all) {
      if (refused) this.tell({ event: "refused", s, reason: refused });
      if (refused === "fork") this.forked();
      if (held || refused) continue;
      const content = readPlaintext(plain);
      this.noteCounter(sender, content.ctr);
      this.thread.push({ s, id, identity: sender, inst, content });
      const said = { kind: content.kind, class: content.class, fields: content.fields };
      this.tell({ event: "message", s, id, sender, nick: this.nickOf(sender), ...said, lost, lostBefore, stale });
    }
  }

  said(id) {
    return this.thread.find((one) => one.id && hex(one.id) === id);
  }

  // Fetches the file of a message; what is told of it is its name and its bytes' hash.
  async get(id) {
    const { fields } = this.said(id).content;
    const data = await fetchFile(this.relay, this.link.room, fields);
    this.tell({ event: "file", id, name: fields.name, size: data.length, hash: plainHash(data) });
  }

  lines() {
    const { lines } = replay(this.thread);
    this.tell({ event: "lines", lines: lines.map((line) => ({ ...line, nick: this.nickOf(line.identity) })) });
  }

  // §4: bundles of others, and the counters in their messages.
  learnBundle(bytes) {
    try {
      const bundle = readBundle(bytes);
      const name = hex(bundle.identity);
      const seen = this.seen.get(name) ?? { ctr: 0n, bid: null };
      acceptBundle(bundle, BigInt(Date.now()), seen, this.room.state.members.has(name));
      this.seen.set(name, bundle);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }

  noteCounter(identity, ctr) {
    const seen = this.seen.get(hex(identity));
    if ((!seen || ctr > seen.ctr) && ctr <= BigInt(Date.now() + 600_000))
      this.seen.set(hex(identity), { ctr, bid: null });
  }

  usable({ identity }) {
    const bundle = this.seen.get(hex(identity));
    return bundle?.bytes && BigInt(Date.now()) < bundle.exp ? bundle : null;
  }

  async fetchBundles(members) {
    const identities = members.filter((member) => !this.usable(member)).map((member) => member.identity);
    for (let at = 0; at < identities.length; at += 256) {
      const { bundles } = await this.relay.request("Bundles", identities.slice(at, at + 256));
      for (const bytes of bundles) this.learnBundle(bytes);
    }
  }

  // Seals one statement to each member, and gives those whose parcel the relay stored.
  async hand(members, kind, body) {
    await this.fetchBundles(members);
    const parcels = [];
    for (const member of members.filter((one) => this.usable(one))) {
      const statement = { room: this.link.room, kind, body };
      const sealed = await sealParcel(this.seed, this.usable(member), statement).catch(() => null);
      if (sealed) parcels.push([member.identity, sealed]);
    }
    const failed = new Set();
    for (let at = 0; at < parcels.length; at += 256) {
      const answer = await this.relay.request("Parcels", this.link.room, parcels.slice(at, at + 256));
      for (const bytes of answer.stale) failed.add(hex(readBundle(bytes).identity)) && this.learnBundle(bytes);
      for (const identity of answer.absent) failed.add(hex(identity));
    }
    const stored = new Set(parcels.map(([identity]) => hex(identity)).filter((name) => !failed.has(name)));
    return members.filter((member) => stored.has(hex(member.identity)));
  }

  async takeParcel({ token, parcel }) {
    try {
      const me = { identity: this.identity, bundles: [this.bundle] };
      const { room, from, kind, body } = await openParcel(parcel, me);
      insist(equal(room, this.link.room), "room");
      this.tell({ event: "parcel", from, kind });
      if (kind === CHAIN) this.takeGrant(from, body);
      else this.answer(from, readNeed(body));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    await this.relay.request("ParcelTaken", [token]);
  }

  takeGrant(from, body) {
    const { result, opened } = this.room.grant(from, body);
    if (result === "fork") this.forked();
    this.showOpened(opened);
  }

  // A chain's key is asked for once; its maker gives it by itself with its next message too.
  need(chain, identity) {
    const member = this.room.state.members.get(hex(identity));
    if (!member || this.asked.has(hex(chain))) return;
    this.asked.set(hex(chain), true);
    this.hand([member], NEED, needBody(chain, this.bundle)).catch((error) =>
      this.tell({ event: "error", reason: error.reason }),
    );
  }

  answer(from, { ctr }) {
    const [name, now] = [hex(from), Date.now()];
    if (!answersNeed(this.room.state, from, this.sender.live, this.answered.get(name) ?? null, now)) return;
    this.answered.set(name, now);
    if ((this.seen.get(name)?.ctr ?? 0n) < ctr) this.noteCounter(from, ctr);
    const member = this.room.state.members.get(name);
    this.hand([member], CHAIN, this.sender.grant()).catch((error) =>
      this.tell({ event: "error", reason: error.reason }),
    );
  }

  say(kind, fields) {
    this.sending = this.sending
      .then(() => this.send(kind, fields))
      .catch((error) => {
        this.tell({ event: "unsent", reason: error.reason ?? String(error) });
      });
    return this.sending;
  }

  // §11.3: a new chain where one is due, its key to all who read, then the message; twice if somebody came or went.
  async serve() {
    const skipped = new Set();
    for (;;) {
      if (this.sender.isDue(this.room, Date.now())) this.sender.begin(this.room, Date.now());
      const { served } = this.sender.live;
      const waiting = this.sender.unserved(this.room).filter((member) => !skipped.has(hex(member.inst)));
      if (waiting.length === 0) return;
      const body = this.sender.grant();
      for (const member of await this.hand(waiting, CHAIN, body)) served.add(hex(member.inst));
      // One that failed is tried once more, now with the bundle that the relay has shown.
      const again = waiting.filter((member) => !served.has(hex(member.inst)));
      for (const member of await this.hand(again, CHAIN, body)) served.add(hex(member.inst));
      for (const member of again) skipped.add(hex(member.inst));
    }
  }

  async send(kind, fields) {
    for (let attempt = 0; attempt < MOST_SEALS; attempt += 1) {
      insist(!this.isForked && !this.isStopped, "fork");
      await this.serve();
      const plaintext = writePlaintext({ kind, clock: Date.now(), ctr: this.bundle.ctr, fields });
      const { i, epoch } = this.sender.live;
      const envelope = this.sender.seal(this.room, plaintext);
      const code = await this.offer(envelope, readPlaintext(plaintext));
      if (!code) {
        this.sender.isIn(i);
        return this.tell({ event: "sent", id: messageId(envelope), envelope });
      }
      this.sender.drop();
      if (!SEALED_ANEW.includes(code)) throw new Refused(code);
      if (code === "epoch-moved") await this.untilEpochIsNot(epoch);
    }
    throw new Refused("epoch-moved", "sealed five times in vain");
  }

  // Gives the relay's word if the envelope is refused for good; else waits until it has come back as an event.
  async offer(envelope, content) {
    const id = hex(messageId(envelope));
    const isBack = new Promise((resolve) => this.returning.set(id, { resolve, content }));
    for (;;) {
      try {
        await this.relay.request("Send", this.link.room, envelope);
        return await isBack;
      } catch (error) {
        if (!RESENT.includes(error.code)) return error.code ?? error.reason;
        await pause(Number(error.retryMs));
      }
    }
  }

  async untilEpochIsNot(epoch) {
    for (let waited = 0; waited < 1000 && this.room.state.epoch === epoch; waited += 20) await pause(20);
  }
}
