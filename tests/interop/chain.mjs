// §6: a sender's chain, its statement and its ratchet.

import { ascii, concat, equal, insist, Reader, u16, u32, u8 } from "./bytes.mjs";
import { H, K } from "./crypto.mjs";
import { liveMember, MOST_RECORDS } from "./fold.mjs";

export const LAST_INDEX = 127; // the last that is accepted
export const MOST_MESSAGES = 100; // the most that are sent

export function writeStatement({ room, sender, inst, n, head, epoch, cpk, prev, prevCount }) {
  return concat(ascii("CC"), u8(1), room, sender, inst, u32(n), head, u32(epoch), cpk, prev, u16(prevCount));
}
export const chainId = (statement) => H("chaton1.chain", statement);

export function readStatement(bytes) {
  const reader = new Reader(bytes);
  reader.magic("CC");
  const chain = { id: chainId(bytes), room: reader.take(32), sender: reader.take(32), inst: reader.take(32) };
  Object.assign(chain, { n: reader.u32(), head: reader.take(32), epoch: reader.u32(), cpk: reader.take(32) });
  Object.assign(chain, { prev: reader.take(32), prevCount: reader.u16() });
  reader.end();
  return chain;
}

export const grantBody = (statement, i, state) => concat(statement, u16(i), state);

// The body of a CHAIN parcel: the statement, and from which index (`next`) its state `ck` opens.
export function readGrant(body) {
  insist(body.length === 239, "format");
  const reader = new Reader(body);
  const chain = readStatement(reader.take(205));
  chain.next = reader.u16();
  chain.ck = reader.take(32);
  insist(chain.next <= LAST_INDEX, "format");
  return chain;
}

export const messageKey = (chain, i, state) => K(state, "chaton1.msg", concat(chain, u16(i)));
export const nextState = (chain, i, state) => K(state, "chaton1.next", concat(chain, u16(i)));

// Steps 2 to 6 of §6.3. `states` are those of the reader's fold by number; says `early` where the fold is behind.
export function judgeGrant(chain, { from, me, room, states }) {
  const now = states.at(-1);
  insist(equal(chain.room, room) && equal(chain.sender, from) && !equal(from, me), "sender");
  insist(chain.n <= MOST_RECORDS, "sender");
  if (chain.n > now.n) return "early";
  insist(liveMember(now, chain.sender, chain.inst), "sender");
  insist(equal(states[chain.n].head, chain.head), "fork");
  insist(states[chain.n].epoch === chain.epoch, "epoch");
  return "accepted";
}
