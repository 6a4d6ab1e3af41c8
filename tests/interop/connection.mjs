// One connection to a relay: TLS with its key pinned (§8.1), frames, and requests with their answers (§9).

import { isIP } from "node:net";
import tls from "node:tls";
import { equal, insist, Refused } from "./bytes.mjs";
import { readFrame, writeFrame } from "./frames.mjs";
import { pinOf } from "./login.mjs";

const LONGEST_FRAME = 1_048_576;
const PING_AFTER = 60_000;

// Nothing is sent before the pin holds; the name, the issuer and the expiry are not looked at.
export function dial({ host, port, spki }) {
  const { promise, resolve, reject } = Promise.withResolvers?.() ?? withResolvers();
  const options = { host, port, minVersion: "TLSv1.3", ALPNProtocols: ["chaton/1"], rejectUnauthorized: false };
  const socket = tls.connect(isIP(host) ? options : { ...options, servername: host }, () => {
    const isRight = equal(pinOf(socket.getPeerCertificate().raw), spki);
    if (isRight && socket.alpnProtocol === "chaton/1") return resolve(new Connection(socket));
    socket.destroy();
    return reject(new Refused("pin", "the relay is not the one of the link"));
  });
  socket.once("error", reject);
  return promise;
}

function withResolvers() {
  const all = {};
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
}

export class Connection {
  constructor(socket) {
    Object.assign(this, { socket, open: new Map(), lastRef: 0, buffer: Buffer.alloc(0), inbox: [], wake: null });
    this.over = new Promise((resolve) => socket.once("close", resolve));
    this.ping = setInterval(() => this.request("Ping").catch(() => {}), PING_AFTER);
    this.over.then(() => this.end());
    socket.on("error", () => {}); // "close" follows
    socket.on("data", (bytes) => this.read(bytes));
  }

  end() {
    clearInterval(this.ping);
    for (const { reject } of this.open.values()) reject(new Refused("closed", "the connection is over"));
    this.open.clear();
    this.put(null);
  }

  put(frame) {
    this.inbox.push(frame);
    this.wake?.();
  }

  // The next frame that answers no request, in the order of the wire; null at the end.
  async next() {
    while (this.inbox.length === 0) await new Promise((resolve) => Object.assign(this, { wake: resolve }));
    return this.inbox.shift();
  }

  read(bytes) {
    this.buffer = Buffer.concat([this.buffer, bytes]);
    try {
      while (this.buffer.length >= 4) {
        const length = this.buffer.readUInt32BE();
        insist(length <= LONGEST_FRAME, "format");
        if (this.buffer.length < 4 + length) return;
        const frame = readFrame(new Uint8Array(this.buffer.subarray(4, 4 + length)));
        this.buffer = this.buffer.subarray(4 + length);
        this.tell(frame);
      }
    } catch (error) {
      // Nothing behind such a frame can be trusted to begin where it seems to.
      if (!(error instanceof Refused)) throw error;
      this.socket.destroy();
    }
  }

  tell(frame) {
    const request = this.open.get(frame.ref ?? (frame.name === "LoggedIn" ? 0 : undefined));
    if (!request) return this.put(frame);
    if (frame.name === "RecordsPage") return request.pages.push(...frame.records);
    this.open.delete(request.ref);
    if (frame.name === "Refused") return request.reject(Object.assign(new Refused(frame.code, frame.detail), frame));
    insist(request.answer === frame.name, "format");
    if (frame.name === "CaughtUp") this.put(frame); // its place among the events is what it says
    return request.resolve({ ...frame, pages: request.pages });
  }

  // Gives the answer's fields, or throws Refused with the relay's word; a Log's pages are joined in `pages`.
  request(name, ...fields) {
    this.lastRef += 1;
    return this.say(name, this.lastRef, [this.lastRef, ...fields]);
  }

  // Login alone carries no number; its answer is LoggedIn, or Refused with 0.
  login(answer) {
    return this.say("Login", 0, [answer]);
  }

  say(name, ref, fields) {
    const waiting = { ...withResolvers(), ref, answer: ANSWERS[name], pages: [] };
    this.open.set(ref, waiting);
    this.socket.write(writeFrame(name, ...fields));
    return waiting.promise;
  }
}

const ANSWERS = {
  Login: "LoggedIn",
  Peek: "Done",
  Log: "LogEnd",
  Submit: "Accepted",
  Turn: "YourTurn",
  Follow: "CaughtUp",
  Send: "Accepted",
  Publish: "Done",
  Bundles: "BundleList",
  Parcels: "ParcelsStored",
  ParcelTaken: "Done",
  Ping: "Pong",
  Get: "BlobPiece",
};
