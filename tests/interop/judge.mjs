// Says of each line of hex whether it is one frame of a relay: node judge.mjs

import { createInterface } from "node:readline";
import { Refused, unhex } from "./bytes.mjs";
import { readFrame } from "./frames.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  try {
    readFrame(unhex(line));
    process.stdout.write("frame\n");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    process.stdout.write("no frame\n");
  }
}
