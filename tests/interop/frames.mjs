// §9.1 to §9.3: frames as msgpack arrays, each value in its one shortest form.

import { concat, equal, fromUtf8, insist, Reader, u16, u32, u64, u8, utf8 } from "./bytes.mjs";

// One size class of msgpack: the smallest of these lengths that holds `size`, each with its first byte.
function sizeOf(size, fixed, most, tags) {
  if (size <= most) return u8(fixed | size);
  const [byte, short, long] = tags;
  if (byte && size < 0x100) return concat(u8(byte), u8(size));
  return size < 0x10000 ? concat(u8(short), u16(size)) : concat(u8(long), u32(size));
}

function packInteger(value) {
  if (value === -1n) return u8(0xff); // the only negative number of the protocol: Log from GENESIS
  if (value < 0x80n) return u8(Number(value));
  if (value < 0x100n) return concat(u8(0xcc), u8(Number(value)));
  if (value < 0x10000n) return concat(u8(0xcd), u16(Number(value)));
  return value < 0x100000000n ? concat(u8(0xce), u32(Number(value))) : concat(u8(0xcf), u64(value));
}

export function pack(value) {
  if (typeof value === "number" || typeof value === "bigint") return packInteger(BigInt(value));
  if (typeof value === "boolean") return u8(value ? 0xc3 : 0xc2);
  if (typeof value === "string") {
    const bytes = utf8(value);
    return concat(sizeOf(bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]), bytes);
  }
  if (Array.isArray(value)) return concat(sizeOf(value.length, 0x90, 15, [0, 0xdc, 0xdd]), ...value.map(pack));
  return concat(sizeOf(value.length, 0, -1, [0xc4, 0xc5, 0xc6]), value);
}

// Integers become BigInt. Forms that nothing in the protocol uses are refused here, longer forms by `unpack`.
function value(reader) {
  const tag = reader.u8();
  const count = (n) => Array.from({ length: n }, () => value(reader));
  if (tag < 0x80) return BigInt(tag);
  if (tag >= 0x90 && tag < 0xa0) return count(tag & 15);
  if (tag >= 0xa0 && tag < 0xc0) return fromUtf8(reader.take(tag & 31));
  const forms = {
    0xc2: () => false,
    0xc3: () => true,
    0xc4: () => reader.take(reader.u8()),
    0xc5: () => reader.take(reader.u16()),
    0xc6: () => reader.take(reader.u32()),
    0xcc: () => BigInt(reader.u8()),
    0xcd: () => BigInt(reader.u16()),
    0xce: () => BigInt(reader.u32()),
    0xcf: () => reader.u64(),
    0xd9: () => fromUtf8(reader.take(reader.u8())),
    0xda: () => fromUtf8(reader.take(reader.u16())),
    0xdc: () => count(Math.min(reader.u16(), reader.left + 1)),
  };
  insist(forms[tag], "format");
  return forms[tag]();
}

export function unpack(bytes) {
  const reader = new Reader(bytes);
  const result = value(reader);
  reader.end();
  insist(equal(pack(result), bytes), "format");
  return result;
}

// The types of §9.1: each judges one decoded value and gives it as this program holds it.
const integer = (most, as) => (v) => {
  insist(typeof v === "bigint" && v <= most, "format");
  return as(v);
};
const ref = integer(0xffffffffn, Number);
const uint = integer(2n ** 63n - 1n, BigInt);
const small = integer(2n, Number);
const bytes =
  (most, least = 0) =>
  (v) => {
    insist(v instanceof Uint8Array && v.length <= most && v.length >= least, "format");
    return v;
  };
const key = bytes(32, 32);
const str = (most) => (v) => {
  insist(typeof v === "string" && [...v].length <= most, "format");
  return v;
};
const bool = (v) => {
  insist(typeof v === "boolean", "format");
  return v;
};
const list = (most, type) => (v) => {
  insist(Array.isArray(v) && v.length <= most, "format");
  return v.map(type);
};
const struct = (fields) => (v) => {
  const types = Object.entries(fields);
  insist(Array.isArray(v) && v.length === types.length, "format");
  return Object.fromEntries(types.map(([name, type], i) => [name, type(v[i])]));
};
const record = bytes(2400);
const bundles = list(256, bytes(1331));

const limits = struct({ retention: uint, perMinute: uint, atOnce: uint, blobBytes: uint });

// Ours to the relay: only the tag is needed, as the caller gives the fields in their order.
export const SAYS = {
  Login: 1,
  Peek: 2,
  Log: 3,
  Submit: 5,
  Turn: 6,
  Follow: 7,
  Send: 9,
  Publish: 11,
  Bundles: 12,
  Parcels: 13,
  ParcelTaken: 14,
  Ping: 15,
  Get: 18,
};

const TELLS = {
  64: ["Welcome", { nonce: key, now: uint, version: str(40), limits }],
  65: [
    "LoggedIn",
    {
      rooms: list(10_000, struct({ room: key, n: uint, s: uint, pending: bool })),
      directs: list(10_000, struct({ room: key, peer: key, s: uint })),
    },
  ],
  66: ["Refused", { ref, code: str(40), detail: str(300), retryMs: uint, records: list(256, record) }],
  67: ["Done", { ref }],
  68: ["Accepted", { ref, s: uint, transcript: key }],
  69: ["YourTurn", { ref, n: uint, head: key }],
  70: ["RecordsPage", { ref, first: uint, records: list(256, record) }],
  71: ["LogEnd", { ref, n: uint, head: key }],
  72: ["Event", { room: key, s: uint, at: uint, kind: small, sender: key, body: bytes(65_821) }],
  73: ["CaughtUp", { ref, room: key, s: uint }],
  74: ["BundleList", { ref, bundles }],
  75: ["ParcelsStored", { ref, stale: bundles, absent: list(256, key) }],
  76: ["Parcel", { token: uint, parcel: bytes(1747) }],
  77: ["ParcelsEnd", {}],
  78: ["DirectRoom", { room: key, peer: key, s: uint }],
  79: ["LogMoved", { room: key }],
  80: ["Presence", { room: key, identity: key, online: bool }],
  81: ["Pong", { ref }],
  85: ["Present", { room: key, identities: list(1_000, key) }],
  82: ["Goodbye", { code: str(40), detail: str(300), retryMs: uint }],
  83: ["BlobState", { ref, size: uint, have: uint }],
  84: ["BlobPiece", { ref, size: uint, offset: uint, data: bytes(262_144) }],
  85: ["Present", { room: key, identities: list(1000, key) }],
};

export function readFrame(frame) {
  const [tag, ...fields] = list(10, (v) => v)(unpack(frame));
  insist(typeof tag === "bigint" && TELLS[tag], "format");
  const [name, types] = TELLS[tag];
  return { name, ...struct(types)(fields) };
}

export function writeFrame(name, ...fields) {
  const frame = pack([SAYS[name], ...fields]);
  return concat(u32(frame.length), frame);
}
