// Bytes and numbers as §1 writes them: big-endian, no choice in the encoding, nothing left over.
// A u64 is a BigInt everywhere, because a JavaScript number loses digits above 2^53.

export class Refused extends Error {
  // `reason` is one of the words of "Conventions".
  constructor(reason, detail = reason) {
    super(detail);
    this.reason = reason;
  }
}

export function insist(condition, reason) {
  if (!condition) throw new Refused(reason);
}

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
export const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));
export const ascii = (text) => new Uint8Array(Buffer.from(text, "latin1"));
export const utf8 = (text) => new TextEncoder().encode(text);
export const zeros = (length) => new Uint8Array(length);
export const equal = (a, b) => Buffer.compare(a, b) === 0;
export const concat = (...parts) => new Uint8Array(Buffer.concat(parts));

function number(length, value) {
  const bytes = Buffer.alloc(length);
  if (length === 8) bytes.writeBigUInt64BE(BigInt(value));
  else bytes.writeUIntBE(value, 0, length);
  return new Uint8Array(bytes);
}
export const u8 = (value) => number(1, value);
export const u16 = (value) => number(2, value);
export const u32 = (value) => number(4, value);
export const u64 = (value) => number(8, value);
export const sized = (bytes) => concat(u16(bytes.length), bytes);

// The text of UTF-8 bytes. A byte order mark is part of the text and stays.
export function fromUtf8(bytes, reason = "format") {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused(reason);
  }
}

// Takes bytes from the front; whatever is missing, out of range or left over is `format`.
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  get left() {
    return this.bytes.length - this.at;
  }
  take(length) {
    insist(length <= this.left, "format");
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }
  magic(letters) {
    insist(equal(this.take(letters.length + 1), concat(ascii(letters), u8(1))), "format");
  }
  u8(max = 0xff) {
    const value = this.take(1)[0];
    insist(value <= max, "format");
    return value;
  }
  u16() {
    return Buffer.from(this.take(2)).readUInt16BE();
  }
  u32() {
    return Buffer.from(this.take(4)).readUInt32BE();
  }
  u64() {
    return Buffer.from(this.take(8)).readBigUInt64BE();
  }
  sized(max) {
    const length = this.u16();
    insist(length <= max, "format");
    return this.take(length);
  }
  rest() {
    return this.take(this.left);
  }
  end() {
    insist(this.left === 0, "format");
  }
}
