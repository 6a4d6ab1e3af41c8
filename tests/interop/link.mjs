// §2.4 and §2.5: sealed texts and links.

import { ascii, concat, equal, fromUtf8, insist, Reader, Refused, u16, u32, u8, utf8, zeros } from "./bytes.mjs";
import { H, K, lock, pad, publicKey, random, unlock, unpad } from "./crypto.mjs";

const paddedLength = (length) => Math.ceil((length + 1) / 64) * 64;

export function sealText(rik, text, limit, nonce = random(24)) {
  const bytes = utf8(text);
  const padded = pad(bytes, paddedLength(bytes.length));
  insist(padded.length + 40 <= limit, "format");
  return lock(rik, nonce, padded);
}

export const openText = (rik, info) => fromUtf8(unpad(unlock(rik, info), paddedLength), "padding");

// What does not open is shown as empty.
export function shownText(rik, info) {
  try {
    return openText(rik, info);
  } catch (error) {
    if (error instanceof Refused) return "";
    throw error;
  }
}

export function readLink(link) {
  insist(link.startsWith("chaton:"), "format");
  const text = link.slice("chaton:".length);
  const bytes = new Uint8Array(Buffer.from(text, "base64url"));
  // Buffer.from forgives padding, other alphabets and stray bits; the comparison does not.
  insist(Buffer.from(bytes).toString("base64url") === text && bytes.length > 4, "format");
  const raw = bytes.slice(0, -4);
  insist(equal(H("chaton1.link", raw).subarray(0, 4), bytes.slice(-4)), "format");
  const reader = new Reader(raw);
  insist(reader.u8() === 1, "format");
  const host = Buffer.from(reader.take(reader.u8())).toString("latin1");
  insist(/^[a-z0-9.:-]{1,253}$/.test(host), "format");
  const fields = { host, port: reader.u16(), spki: reader.take(32), room: reader.take(32), n: reader.u32() };
  Object.assign(fields, { head: reader.take(32), seed: reader.take(32), rik: reader.take(32) });
  reader.end();
  insist(fields.port !== 0 && fields.n >= 1 && fields.n <= 10_000, "format");
  return fields;
}

export function writeLink({ host, port, spki, room, n, head, seed, rik }) {
  const raw = concat(u8(1), u8(host.length), ascii(host), u16(port), spki, room, u32(n), head, seed, rik);
  return `chaton:${Buffer.from(concat(raw, H("chaton1.link", raw).subarray(0, 4))).toString("base64url")}`;
}

export function inviteOf(link) {
  const seed = K(link.seed, "chaton1.inv", zeros(0));
  return { seed, key: publicKey(seed) };
}
