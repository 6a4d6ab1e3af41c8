// §1.1 to §1.3: hashes, signatures and boxes, from tweetnacl and @noble.

import nacl from "tweetnacl";
import { blake2b } from "@noble/hashes/blake2.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { ascii, concat, equal, insist, Refused, zeros } from "./bytes.mjs";

const { Point } = ed25519;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function padded(text, length) {
  const bytes = zeros(length);
  bytes.set(ascii(text));
  return bytes;
}

export const random = (length) => nacl.randomBytes(length);
export const H = (person, data) => blake2b(data, { dkLen: 32, personalization: padded(person, 16) });
export const K = (key, person, data, dkLen = 32) => blake2b(data, { dkLen, key, personalization: padded(person, 16) });
export const plainHash = (data) => blake2b(data, { dkLen: 32 });

export const signedBytes = (label, body) => concat(padded(`chaton/1 ${label}`, 32), body);
export const publicKey = (seed) => nacl.sign.keyPair.fromSeed(seed).publicKey;
export const sign = (label, seed, body) =>
  nacl.sign.detached(signedBytes(label, body), nacl.sign.keyPair.fromSeed(seed).secretKey);

// The canonical encoding of a point of the group of prime order, other than the neutral element.
const validPoints = new Map();
export function isValidPoint(key) {
  const name = Buffer.from(key).toString("latin1");
  if (!validPoints.has(name)) validPoints.set(name, judgePoint(key));
  return validPoints.get(name);
}

function judgePoint(key) {
  try {
    const point = Point.fromBytes(key);
    return !point.is0() && point.isTorsionFree();
  } catch {
    return false;
  }
}

const littleEndian = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);

// §1.2 word by word, as neither library has this very rule: tweetnacl takes any S and any R that fits, noble multiplies
// by the cofactor.
export function verify(label, key, body, signature, reason = "signature") {
  insist(key.length === 32 && signature.length === 64 && isValidPoint(key), reason);
  const [R, S] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))];
  insist(S < ORDER, reason);
  const h = littleEndian(sha512(concat(R, key, signedBytes(label, body)))) % ORDER;
  const fits = Point.BASE.multiplyUnsafe(S).subtract(Point.fromBytes(key).multiplyUnsafe(h));
  insist(equal(fits.toBytes(), R) && !fits.isSmallOrder(), reason);
}

export const isSame = (a, b) => a.length === b.length && nacl.verify(a, b); // in constant time

// SecretBox with its nonce in front.
export const lock = (key, nonce, text) => concat(nonce, nacl.secretbox(text, nonce, key));
export function unlock(key, box, reason = "ciphertext") {
  const text = box.length < 40 ? null : nacl.secretbox.open(box.subarray(24), box.subarray(0, 24), key);
  insist(text, reason);
  return text;
}

// The key of a Box. A public key of low order gives a shared secret of zeros, which everybody knows.
export function boxKey(secret, key) {
  if (equal(nacl.scalarMult(secret, key), zeros(32))) throw new Refused("ciphertext", "X25519 key of low order");
  return nacl.box.before(key, secret);
}
export const x25519Public = (secret) => nacl.scalarMult.base(secret);

// The 80 and zeros behind a text, up to a length that `isLength` allows and that the text needs.
export function pad(text, length) {
  const bytes = zeros(length);
  bytes.set(text);
  bytes[text.length] = 0x80;
  return bytes;
}

export function unpad(bytes, lengthFor, reason = "padding") {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  insist(end > 0 && bytes[end - 1] === 0x80 && lengthFor(end - 1) === bytes.length, reason);
  return bytes.slice(0, end - 1);
}
