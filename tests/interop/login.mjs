// §8: the relay's pin, login, peek and safety codes.

import { createHash, X509Certificate } from "node:crypto";
import { ascii, concat, Reader, u32, u8 } from "./bytes.mjs";
import { H, publicKey, sign, verify } from "./crypto.mjs";
import { directRoom } from "./room.mjs";

export function pinOf(certificate) {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return new Uint8Array(createHash("sha256").update(key).digest());
}

export const loginBody = (spki, sn, cn, identity) => concat(ascii("CL"), u8(1), spki, sn, cn, identity);
export const peekBody = (spki, sn, cn, room) => concat(ascii("CK"), u8(1), spki, sn, cn, room);

export function login(seed, spki, sn, cn) {
  const identity = publicKey(seed);
  return concat(identity, cn, sign("login", seed, loginBody(spki, sn, cn, identity)));
}
export const peek = (seed, spki, sn, cn, room) => sign("peek", seed, peekBody(spki, sn, cn, room));

export function checkLogin(answer, spki, sn) {
  const reader = new Reader(answer);
  const [identity, cn, signature] = [reader.take(32), reader.take(32), reader.take(64)];
  reader.end();
  verify("login", identity, loginBody(spki, sn, cn, identity), signature);
  return identity;
}

function digits(hash) {
  const group = (i) => hash.slice(i, i + 5).reduce((sum, byte) => (sum * 256 + byte) % 100_000, 0);
  return [0, 5, 10, 15, 20, 25].map((i) => String(group(i)).padStart(5, "0")).join(" ");
}
export const roomCode = (room, n, head) => digits(H("chaton1.safety", concat(room, u32(n), head)));
export const pairCode = (a, b) => digits(H("chaton1.safety", concat(directRoom(a, b), ...[a, b].sort(Buffer.compare))));
