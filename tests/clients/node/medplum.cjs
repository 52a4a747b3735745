// @medplum/hl7's client sends a file of MLLP-framed messages and waits for each answer.
// Run: NODE_PATH=.clients/node/node_modules node medplum.cjs HOST PORT FILE
"use strict";

const { Hl7Client } = require("@medplum/hl7");
const { Hl7Message } = require("@medplum/core");
const { readMessages, Tally } = require("./framed.cjs");

// Until an answer is given up; the service answers in milliseconds.
const ANSWER_TIMEOUT_MS = 30_000;

async function main(host, port, path) {
  const client = new Hl7Client({ host, port: Number(port) });
  client.addEventListener("error", (event) => console.error(`client error: ${event.error}`));
  const tally = new Tally();
  for (const text of readMessages(path)) {
    const message = Hl7Message.parse(text);
    const answer = await client.sendAndWait(message, { timeoutMs: ANSWER_TIMEOUT_MS });
    const msa = answer.getSegment("MSA");
    tally.add(message.getSegment("MSH").getField(10).toString(), msa.getField(1).toString(), msa.getField(2).toString());
  }
  await client.close();
  tally.close();
  // Its answer timers are not cleared: without this the process lives as long as the last of them.
  process.exit(0);
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
