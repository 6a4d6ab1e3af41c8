// §5: one statement to one member, in a NaCl box inside a post-quantum one.

import { MlKem768 } from "mlkem";
import { ascii, concat, equal, insist, Reader, sized, u64, u8, zeros } from "./bytes.mjs";
import { boxKey, K, lock, publicKey, random, sign, unlock, verify, x25519Public } from "./crypto.mjs";

export const CHAIN = 1;
export const NEED = 2;
const BODY_LENGTH = { [CHAIN]: 239, [NEED]: 72 };
const INNER_LENGTH = 512;

// Throws where nothing can be sealed to these keys; the caller skips such a recipient.
export async function sealParcel(seed, to, { room, kind, body }, chance = {}) {
  const e = chance.e ?? random(32);
  const head = concat(ascii("CP"), u8(1), room, publicKey(seed), to.identity, to.bid, u8(kind), sized(body));
  const signed = concat(head, sign("parcel", seed, head));
  const inner = concat(signed, zeros(INNER_LENGTH - signed.length));
  const box = lock(boxKey(e, to.x25519), chance.inner ?? random(24), inner);
  const [kct, secret] = await new MlKem768().encap(to.mlkem, chance.m);
  const E = x25519Public(e);
  const outer = lock(K(secret, "chaton1.pq", concat(to.bid, kct, E)), chance.outer ?? random(24), box);
  return concat(ascii("CX"), u8(1), to.bid, E, kct, outer);
}

// `me` has `identity` and `bundles`, the own ones whose private keys are still there.
export async function openParcel(bytes, me) {
  insist(bytes.length === 1747, "format");
  const reader = new Reader(bytes);
  reader.magic("CX");
  const bid = reader.take(32);
  const mine = me.bundles.find((bundle) => equal(bundle.bid, bid));
  insist(mine, "recipient");
  const [E, kct] = [reader.take(32), reader.take(1088)];
  const secret = await new MlKem768().decap(kct, mine.mlkem);
  const inner = unlock(K(secret, "chaton1.pq", concat(bid, kct, E)), reader.rest());
  return readStatement(unlock(boxKey(mine.x25519, E), inner), me.identity, bid);
}

function readStatement(bytes, me, bid) {
  insist(bytes.length === INNER_LENGTH, "format");
  const reader = new Reader(bytes);
  reader.magic("CP");
  const parcel = { room: reader.take(32), from: reader.take(32), to: reader.take(32), bid: reader.take(32) };
  parcel.kind = reader.u8();
  parcel.body = reader.sized(512);
  insist(parcel.body.length === BODY_LENGTH[parcel.kind], "format");
  const signed = bytes.slice(0, reader.at);
  const signature = reader.take(64);
  insist(equal(reader.rest(), zeros(INNER_LENGTH - signed.length - 64)), "padding");
  verify("parcel", parcel.from, signed, signature);
  insist(equal(parcel.to, me) && !equal(parcel.from, me) && equal(parcel.bid, bid), "recipient");
  return parcel;
}

export const needBody = (chain, { ctr, bid }) => concat(chain, u64(ctr), bid);
export function readNeed(body) {
  const reader = new Reader(body);
  return { chain: reader.take(32), ctr: reader.u64(), bid: reader.take(32) };
}
