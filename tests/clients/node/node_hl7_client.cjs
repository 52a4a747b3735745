// node-hl7-client sends a file of MLLP-framed messages and waits for each answer.
// Run: NODE_PATH=.clients/node/node_modules node node_hl7_client.cjs HOST PORT FILE
"use strict";

const fs = require("node:fs");
const { Client, Message } = require("node-hl7-client");
const { readMessages, Tally } = require("./framed.cjs");

// Until an answer is given up; the service answers in milliseconds.
const ANSWER_TIMEOUT_MS = 30_000;

async function main(host, port, path) {
  // MLLP_TLS_CA, MLLP_TLS_CERT and MLLP_TLS_KEY are PEM files: it speaks TLS then, and shows a certificate.
  const { MLLP_TLS_CA: ca, MLLP_TLS_CERT: cert, MLLP_TLS_KEY: key } = process.env;
  const read = (path) => fs.readFileSync(path);
  const client = new Client(ca ? { host, tls: { ca: read(ca), cert: read(cert), key: read(key) } } : { host });
  let answered = () => {};
  const outbound = client.createConnection({ port: Number(port) }, async (response) => answered(response.getMessage()));
  outbound.on("data.error", (error) => console.error(`answer not understood: ${error}`));
  await new Promise((resolve) => outbound.once("connect", resolve));
  const tally = new Tally();
  for (const text of readMessages(path)) {
    const message = new Message({ text });
    const answer = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer in time")), ANSWER_TIMEOUT_MS);
      answered = (given) => {
        clearTimeout(timer);
        resolve(given);
      };
      outbound.sendMessage(message).catch(reject);
    });
    tally.add(String(message.get("MSH.10")), String(answer.get("MSA.1")), String(answer.get("MSA.2")));
  }
  await outbound.close();
  tally.close();
  process.exit(0);
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
