// §6.1 to §6.2 and §5's NEED: the chain that one sends under, and who is given its key.

import { equal, hex, zeros } from "./bytes.mjs";
import { chainId, grantBody, MOST_MESSAGES, nextState, writeStatement } from "./chain.mjs";
import { publicKey, random } from "./crypto.mjs";
import { isBot, readersOf } from "./fold.mjs";
import { seal } from "./message.mjs";

const AN_HOUR = 3_600_000;
const A_MINUTE = 60_000;

// A present reader of the room gets an answer, once a minute, if the next message would still be of this chain.
export function answersNeed(state, from, live, last, now) {
  const asker = state.members.get(hex(from));
  if (!asker || isBot(asker) || !live || live.i >= MOST_MESSAGES || live.epoch !== state.epoch) return false;
  return last === null || now - last >= A_MINUTE;
}

export class Sender {
  constructor(seed) {
    Object.assign(this, { seed, live: null, prev: zeros(32), prevCount: 0 });
  }

  isDue(room, now) {
    const { live } = this;
    return !live || live.epoch !== room.state.epoch || live.i >= MOST_MESSAGES || now - live.begun >= AN_HOUR;
  }

  begin(room, now) {
    const { state } = room;
    const sender = publicKey(this.seed);
    const { inst } = state.members.get(hex(sender));
    const csk = random(32);
    const place = { room: room.id, sender, inst, n: state.n, head: state.head, epoch: state.epoch };
    const chain = { ...place, cpk: publicKey(csk), prev: this.prev, prevCount: this.prevCount };
    const statement = writeStatement(chain);
    Object.assign(this, { prev: chainId(statement), prevCount: 0 });
    this.live = {
      id: this.prev,
      statement,
      csk,
      ck: random(32),
      i: 0,
      epoch: state.epoch,
      begun: now,
      served: new Set(),
    };
  }

  unserved(room) {
    const me = publicKey(this.seed);
    const others = readersOf(room.state).filter((member) => !equal(member.identity, me));
    return others.filter((member) => !this.live.served.has(hex(member.inst)));
  }

  grant() {
    return grantBody(this.live.statement, this.live.i, this.live.ck);
  }

  // Seals under the present index, and the chain's state moves on before anybody sees the envelope.
  seal(room, plaintext) {
    const { live } = this;
    const place = { n: room.state.n, head: room.state.head, s: room.s, t: room.t };
    const envelope = seal({ room: room.id, chain: live.id, i: live.i, ...place }, live.ck, live.csk, plaintext);
    live.ck = nextState(live.id, live.i, live.ck);
    live.i += 1;
    return envelope;
  }

  // A message came back as an event: so many indices of this chain are used.
  isIn(i) {
    this.prevCount = i + 1;
  }

  drop() {
    this.live = null;
  }
}
