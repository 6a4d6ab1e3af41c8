// §7: an envelope, and the plaintext in it.

import { ascii, concat, fromUtf8, insist, Reader, Refused, u16, u32, u64, u8, utf8, zeros } from "./bytes.mjs";
import { H, isSame, K, lock, pad, random, sign, unlock, unpad, verify } from "./crypto.mjs";
import { messageKey } from "./chain.mjs";

const LARGEST = 65_536;

function paddedLength(length) {
  let size = 256;
  while (size < length + 1) size *= 2;
  return size;
}

export const messageId = (envelope) => H("chaton1.msgid", envelope);

export function seal({ room, chain, i, n, head, s, t }, state, seed, plaintext, chance = random(32)) {
  const header = concat(ascii("CM"), u8(1), room, chain, u16(i), u32(n), head, u64(s), t);
  const padded = pad(plaintext, paddedLength(plaintext.length));
  insist(padded.length <= LARGEST, "format");
  const key = messageKey(chain, i, state);
  const nonce = K(key, "chaton1.iv", concat(chance, header, padded), 24);
  const ct = lock(K(key, "chaton1.enc", zeros(0)), nonce, padded).slice(24);
  const message = concat(header, K(key, "chaton1.com", header), nonce, u32(ct.length), ct);
  return concat(message, sign("message", seed, message));
}

export function readEnvelope(bytes) {
  const reader = new Reader(bytes);
  reader.magic("CM");
  const envelope = { bytes, room: reader.take(32), chain: reader.take(32), i: reader.u16(), n: reader.u32() };
  Object.assign(envelope, { head: reader.take(32), s: reader.u64(), t: reader.take(32) });
  envelope.header = bytes.slice(0, reader.at);
  Object.assign(envelope, { com: reader.take(32), nonce: reader.take(24) });
  const length = reader.u32();
  const padded = length - 16;
  insist(padded >= 256 && padded <= LARGEST && paddedLength(padded - 1) === padded, "format");
  envelope.ct = reader.take(length);
  envelope.signed = bytes.slice(0, reader.at);
  envelope.signature = reader.take(64);
  reader.end();
  return envelope;
}

export const checkEnvelope = (envelope, cpk) => verify("message", cpk, envelope.signed, envelope.signature);

// The last part of step 8 of §7.2: the plaintext under this index's state.
export function open(envelope, state) {
  const key = messageKey(envelope.chain, envelope.i, state);
  insist(isSame(envelope.com, K(key, "chaton1.com", envelope.header)), "commitment");
  const padded = unlock(K(key, "chaton1.enc", zeros(0)), concat(envelope.nonce, envelope.ct));
  const plaintext = unpad(padded, paddedLength);
  insist(plaintext.length >= 17, "format");
  return plaintext;
}

export const TEXT = 1,
  ACTION = 2,
  REPLY = 3,
  EDIT = 4,
  DELETE = 5,
  REACT = 6,
  FILE = 7,
  ALIVE = 8;

const someText = (reader) => {
  insist(reader.left > 0, "format");
  return fromUtf8(reader.rest());
};
const BODIES = {
  [TEXT]: (r) => ({ text: someText(r) }),
  [ACTION]: (r) => ({ text: someText(r) }),
  [REPLY]: (r) => ({ id: r.take(32), text: someText(r) }),
  [EDIT]: (r) => ({ id: r.take(32), text: someText(r) }),
  [DELETE]: (r) => ({ id: r.take(32) }),
  [REACT](r) {
    const fields = { id: r.take(32), op: r.u8(1) };
    insist(r.left <= 32, "format");
    return { ...fields, emoji: someText(r) };
  },
  [FILE](r) {
    const fields = { blob: r.take(32), key: r.take(32), hash: r.take(32), size: r.u64() };
    return { ...fields, name: fromUtf8(r.sized(255)), caption: fromUtf8(r.rest()) };
  },
  [ALIVE]: () => ({}),
};

// `class` is ok, unknown (a later version's kind) or malformed; of the last two nothing can be shown.
export function readPlaintext(plaintext) {
  const reader = new Reader(plaintext);
  const content = { kind: reader.u8(), clock: reader.u64(), ctr: reader.u64() };
  const body = BODIES[content.kind];
  if (!body) return { ...content, class: "unknown" };
  try {
    const fields = body(reader);
    reader.end();
    return { ...content, class: "ok", fields };
  } catch (error) {
    if (error instanceof Refused) return { ...content, class: "malformed" };
    throw error;
  }
}

export function writePlaintext({ kind, clock, ctr, fields }) {
  const { id, text, op, emoji } = fields;
  const start = concat(u8(kind), u64(clock), u64(ctr));
  if (kind === FILE) {
    const { blob, key, hash, size, name, caption } = fields;
    return concat(start, blob, key, hash, u64(size), u16(utf8(name).length), utf8(name), utf8(caption));
  }
  return concat(start, id ?? zeros(0), op === undefined ? zeros(0) : u8(op), utf8(emoji ?? text ?? ""));
}
