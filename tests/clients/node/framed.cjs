// What both senders share: reading the MLLP-framed file, counting the answers, and the closing line.
"use strict";

const { readFileSync } = require("node:fs");

const PROGRESS_EVERY = 1000;

/** Give the messages of a file of MLLP frames, without the frames. */
function readMessages(path) {
  return readFileSync(path, "utf8")
    .split("\u001c\r")
    .filter((framed) => framed.includes("\u000b"))
    .map((framed) => framed.slice(framed.indexOf("\u000b") + 1));
}

/** Count answers; `close` prints the JSON line that the test reads. */
class Tally {
  constructor() {
    this.began = performance.now();
    this.sent = 0;
    this.matched = 0;
    this.acks = {};
  }

  add(controlId, code, answered) {
    this.sent += 1;
    this.acks[code] = (this.acks[code] ?? 0) + 1;
    if (controlId === answered) this.matched += 1;
    if (this.sent % PROGRESS_EVERY === 0) console.error(`${this.sent} sent`);
  }

  close() {
    const seconds = Math.round(performance.now() - this.began) / 1000;
    console.log(JSON.stringify({ sent: this.sent, acks: this.acks, seconds, matched: this.matched }));
  }
}

module.exports = { readMessages, Tally };
