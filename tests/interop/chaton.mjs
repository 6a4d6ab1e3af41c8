// A second Chaton/1 client, written from docs/protocol.md alone: node chaton.mjs NICK
// Standard input: the link on the first line, then "say TEXT", "reply ID TEXT", "get ID", "lines" or "quit".
// Standard output: what happens, one JSON object a line.

import { createInterface } from "node:readline";
import { hex, Refused, unhex } from "./bytes.mjs";
import { Client } from "./client.mjs";
import { readLink } from "./link.mjs";
import { REPLY, TEXT } from "./message.mjs";

const print = (event) => {
  const plain = (_, value) => {
    if (typeof value === "bigint") return Number(value);
    return value instanceof Uint8Array ? hex(value) : value;
  };
  process.stdout.write(`${JSON.stringify(event, plain)}\n`);
};

async function obey(lines, client) {
  for await (const line of lines) {
    const [, command, rest] = /^(\S*) ?(.*)$/.exec(line);
    if (command === "say") client.say(TEXT, { text: rest });
    else if (command === "reply") client.say(REPLY, { id: unhex(rest.slice(0, 64)), text: rest.slice(65) });
    else if (command === "get") await client.get(rest);
    else if (command === "lines") client.lines();
    else if (command === "quit") break;
  }
  await client.sending;
  client.relay.socket.end();
}

async function main() {
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { value: link } = await input.next();
  const client = new Client(readLink(link.trim()), process.argv[2] ?? "node", print);
  await client.connect();
  await client.join();
  await Promise.race([client.run(), obey({ [Symbol.asyncIterator]: () => input }, client)]);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  print({ event: "refused", reason: error.reason, detail: error.message });
  process.exit(1);
}
