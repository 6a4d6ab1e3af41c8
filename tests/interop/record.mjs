// §2: one record of the log as bytes.

import { ascii, concat, insist, Reader, sized, u16, u32, u64, u8, zeros } from "./bytes.mjs";
import { H, isValidPoint, publicKey, sign, verify } from "./crypto.mjs";

export const GENESIS = 0,
  INVITE = 1,
  UNINVITE = 2,
  JOIN = 3,
  ADMIT = 4,
  LEAVE = 5,
  REMOVE = 6,
  BAN = 7;
export const ROLE = 8,
  INFO = 9,
  REDACT = 10,
  CLOSE = 11,
  MUTE = 12,
  NICK = 13;

// Each field: how it is read (ranges included) and how it is written.
const key = [(r) => r.take(32), (v) => v];
const info = (max) => [(r) => r.sized(max), sized];
const byte = (max) => [(r) => r.u8(max), u8];
const within = (low, high) => [
  (r) => {
    const value = r.u16();
    insist(value >= low && value <= high, "format");
    return value;
  },
  u16,
];
const point = [
  (r) => {
    const value = r.take(32);
    insist(isValidPoint(value), "format");
    return value;
  },
  (v) => v,
];

export const TYPES = [
  { name: "GENESIS", nonce: key, policy: within(0, 1), max: within(2, 1000), info: info(512) },
  { name: "INVITE", key: point, uses: within(1, 1000), exp: [(r) => r.u64(), u64], flags: byte(3) },
  { name: "UNINVITE", key },
  { name: "JOIN", key, info: info(256) },
  { name: "ADMIT", inst: key },
  { name: "LEAVE", inst: key },
  { name: "REMOVE", inst: key, flags: byte(1), info: info(256) },
  { name: "BAN", identity: key, op: byte(1) },
  { name: "ROLE", inst: key, role: byte(3) },
  { name: "INFO", info: info(1024) },
  { name: "REDACT", message: key },
  { name: "CLOSE", successor: key },
  { name: "MUTE", inst: key, op: byte(1) },
  { name: "NICK", info: info(256) },
];

const fieldsOf = (type) => Object.entries(TYPES[type]).filter(([name]) => name !== "name");

// Fields to signed bytes; a JOIN is signed by the seed of its invite as well.
export function makeRecord({ type, room = zeros(32), n, prev, t, fields }, seed, inviteSeed = null) {
  const body = concat(...fieldsOf(type).map(([name, [, write]]) => write(fields[name])));
  const head = [ascii("CR"), u8(1), u8(type), room, u32(n), prev, publicKey(seed), u64(t)];
  const signed = concat(...head, sized(body));
  const second = type === JOIN ? sign("record", inviteSeed, signed) : zeros(0);
  return concat(signed, sign("record", seed, signed), second);
}

export function readRecord(bytes) {
  const reader = new Reader(bytes);
  reader.magic("CR");
  const type = reader.u8(NICK);
  const record = { bytes, type, room: reader.take(32), n: reader.u32(), prev: reader.take(32), actor: reader.take(32) };
  record.t = reader.u64();
  const body = new Reader(reader.sized(2048));
  for (const [name, [read]] of fieldsOf(type)) record[name] = read(body);
  body.end();
  record.signed = bytes.slice(0, reader.at);
  record.signatures = [reader.take(64), ...(type === JOIN ? [reader.take(64)] : [])];
  reader.end();
  return record;
}

export function checkSignatures(record) {
  verify("record", record.actor, record.signed, record.signatures[0]);
  if (record.type === JOIN) verify("record", record.key, record.signed, record.signatures[1]);
}

export const roomId = (genesis) => H("chaton1.room", genesis);
export const nextHead = (head, bytes) => H("chaton1.head", concat(head, bytes));
