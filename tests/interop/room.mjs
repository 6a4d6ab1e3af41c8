// §3 and §7.2 to §7.4: one reader's view of one room. Every event comes in order through `record`, `message` or `bare`.

import { concat, equal, hex, insist, Refused, u64, u8, zeros } from "./bytes.mjs";
import { judgeGrant, LAST_INDEX, nextState, readGrant } from "./chain.mjs";
import { H } from "./crypto.mjs";
import { fold, liveMember } from "./fold.mjs";
import { checkEnvelope, messageId, open, readEnvelope } from "./message.mjs";
import { nextHead } from "./record.mjs";

const HELD_OF_A_CHAIN = 64;
const HELD_OF_A_ROOM = 256;
const EARLY_OF_A_SENDER = 64;
const EARLY_OF_A_ROOM = 2048;

export const nextTranscript = (t, s, kind, x) => H("chaton1.tr", concat(t, u64(s), u8(kind), x));

export const directRoom = (a, b) => {
  insist(!equal(a, b), "state");
  return H("chaton1.dm", concat(...[a, b].sort(Buffer.compare)));
};

// The one state that a direct room is always in.
export function directState(a, b) {
  const room = directRoom(a, b);
  const member = (identity) => [hex(identity), { identity, inst: zeros(32), role: 0, muted: false, flags: 0 }];
  return { room, n: 0, head: room, epoch: 0, closed: false, members: new Map([member(a), member(b)]) };
}

export class Room {
  // `states` are those of the fold from record 0 on; (s, t) is where this reader's transcript begins.
  constructor(me, states, s, t) {
    Object.assign(this, { me, states: [...states], s: BigInt(s), transcript: new Map([[BigInt(s), t]]) });
    this.n = states.length - 1; // the last record among the events; the fold may be ahead of it by a Log
    Object.assign(this, { chains: new Map(), held: [], early: [], last: new Map(), ids: new Set() });
  }
  get id() {
    return this.states[0].room;
  }
  get state() {
    return this.states.at(-1);
  }
  get t() {
    return this.transcript.get(this.s);
  }

  advance(kind, x) {
    this.transcript.set(this.s + 1n, nextTranscript(this.t, this.s + 1n, kind, x));
    this.s += 1n;
  }

  // A record of the Log. Throws Refused if it cannot be applied: then the room must stop. Gives what was opened by it.
  learn(bytes) {
    const { state } = fold(this.state, bytes);
    this.states.push(state);
    return this.early.splice(0).flatMap(({ from, body }) => this.grant(from, body).opened);
  }

  // A record as an event: one that the Log has told before must be the same, any other is folded now.
  record(bytes) {
    const opened = this.n + 1 < this.states.length ? [] : this.learn(bytes);
    const head = nextHead(this.states[this.n].head, bytes);
    insist(equal(head, this.states[this.n + 1].head), "position");
    this.n += 1;
    this.advance(0, head);
    return opened;
  }

  // An event of which the id is enough: a message that was pruned, or an own one. Says whether the id is new.
  bare(id) {
    this.advance(1, id);
    const isNew = !this.ids.has(hex(id));
    this.ids.add(hex(id));
    return isNew;
  }

  // Gives what was said ({sender, plain, …}), {held: true} or {refused: reason}.
  message(bytes) {
    const place = { s: this.s + 1n, n: this.n };
    const isNew = this.bare(messageId(bytes));
    return this.orRefused(() => {
      insist(isNew, "index");
      const envelope = readEnvelope(bytes);
      insist(equal(envelope.room, this.id), "room");
      const chain = this.chains.get(hex(envelope.chain));
      if (!chain) return this.hold({ ...place, envelope });
      return this.open(place, envelope, chain);
    });
  }

  orRefused(judge) {
    try {
      return judge();
    } catch (error) {
      if (error instanceof Refused) return { refused: error.reason };
      throw error;
    }
  }

  hold(place) {
    const ofChain = this.held.filter((one) => equal(one.envelope.chain, place.envelope.chain));
    if (ofChain.length === HELD_OF_A_CHAIN) this.held.splice(this.held.indexOf(ofChain[0]), 1);
    if (this.held.length === HELD_OF_A_ROOM) this.held.shift();
    this.held.push(place);
    return { held: true, chain: place.envelope.chain };
  }

  open(place, envelope, chain) {
    const before = this.states[place.n];
    insist(!chain.isOver, "chain");
    checkEnvelope(envelope, chain.cpk);
    insist(!before.closed, "closed");
    const sender = liveMember(before, chain.sender, chain.inst);
    insist(sender, "sender");
    insist(!sender.muted, "muted");
    insist(chain.next <= envelope.i && envelope.i <= LAST_INDEX, "index");
    insist(envelope.s < place.s, "future");
    const t = this.transcript.get(envelope.s);
    insist(!t || equal(t, envelope.t), "fork");
    insist(envelope.n <= place.n && equal(this.states[envelope.n].head, envelope.head), "fork");
    let state = chain.ck;
    for (let i = chain.next; i < envelope.i; i += 1) state = nextState(chain.id, i, state);
    const plain = open(envelope, state);
    const lost = envelope.i - chain.next;
    const isFirst = !chain.isUsed;
    Object.assign(chain, { ck: nextState(chain.id, envelope.i, state), next: envelope.i + 1, isUsed: true });
    const lostBefore = this.retire(place, chain, isFirst);
    const stale = chain.epoch !== before.epoch;
    return { sender: chain.sender, inst: chain.inst, id: messageId(envelope.bytes), plain, lost, lostBefore, stale };
  }

  // The first message of a chain ends `prev` and the chain of the membership's last message.
  retire(place, chain, isFirst) {
    const name = `${hex(chain.sender)} ${hex(chain.inst)}`;
    const last = this.last.get(name);
    if (last && place.s < last.s) return 0;
    this.last.set(name, { s: place.s, chain });
    if (!isFirst) return 0;
    const prev = this.chains.get(hex(chain.prev));
    const isOwn = prev && equal(prev.sender, chain.sender) && equal(prev.inst, chain.inst);
    const lost = isOwn && !prev.isOver ? Math.max(0, chain.prevCount - prev.next) : 0;
    for (const one of [isOwn && prev, last?.chain]) if (one) one.isOver = true;
    return lost;
  }

  // The body of a CHAIN parcel of `from`: what became of it, and the held messages that were judged by it.
  grant(from, body) {
    const opened = [];
    const { result, refused } = this.orRefused(() => ({ result: this.accept(from, body, opened) }));
    return { result: result ?? refused, opened };
  }

  accept(from, body, opened) {
    const chain = readGrant(body);
    if (this.chains.has(hex(chain.id))) return "known";
    const result = judgeGrant(chain, { from, me: this.me, room: this.id, states: this.states });
    if (result === "early") this.keep({ from, body });
    else this.drain(chain, opened);
    return result;
  }

  keep(one) {
    const ofSender = this.early.filter((other) => equal(other.from, one.from));
    if (ofSender.length === EARLY_OF_A_SENDER) this.early.splice(this.early.indexOf(ofSender[0]), 1);
    if (this.early.length === EARLY_OF_A_ROOM) this.early.shift();
    this.early.push(one);
  }

  drain(chain, opened) {
    this.chains.set(hex(chain.id), chain);
    const waiting = this.held.filter((place) => equal(place.envelope.chain, chain.id));
    this.held = this.held.filter((place) => !waiting.includes(place));
    for (const place of waiting) {
      opened.push({ s: place.s, ...this.orRefused(() => this.open(place, place.envelope, chain)) });
    }
    const last = this.last.get(`${hex(chain.sender)} ${hex(chain.inst)}`);
    if (chain.isUsed && last.chain !== chain) chain.isOver = true;
  }
}
