// What a run of the vectors came to: which file is read, how many of its cases agreed, and which did not.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hex, Refused } from "./bytes.mjs";

const [folder, own] = process.argv.slice(2);
export const report = { agreed: {}, differ: [] };
let file;

// A number that JavaScript cannot hold is read as text; BigInt takes both.
export function load(name, from = folder) {
  file = name;
  report.agreed[name] = 0;
  return JSON.parse(readFileSync(join(from, `${name}.json`), "utf8").replace(/: (\d{16,})/g, ': "$1"'));
}
export const loadOwn = (name) => load(name, own); // Cases that are no part of the protocol's vectors.

// Compares what the vector says with what came out, both as JSON without regard to BigInt and bytes.
export const plain = (value) =>
  JSON.stringify(value, (_, v) => {
    if (typeof v !== "bigint") return v;
    return v > Number.MAX_SAFE_INTEGER ? String(v) : Number(v);
  });
Uint8Array.prototype.toJSON = function () {
  return hex(this);
};
export function same(expected, got, name) {
  if (plain(expected) === plain(got)) report.agreed[file] += 1;
  else report.differ.push({ file, name, expected: plain(expected), got: plain(got) });
}

export async function reasonOf(judge) {
  try {
    await judge();
    return "accepted";
  } catch (error) {
    if (error instanceof Refused) return error.reason;
    throw error;
  }
}

// A value with the keys of a vector alone, in their order.
export const like = (pattern, value) => {
  if (Array.isArray(pattern)) return pattern.map((one, i) => like(one, value[i])).concat(value.slice(pattern.length));
  if (pattern === null || typeof pattern !== "object") return value;
  return Object.fromEntries(Object.keys(pattern).map((key) => [key, like(pattern[key], value?.[key])]));
};
