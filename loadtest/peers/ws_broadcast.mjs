// Node's `ws` as its documentation shows broadcasting. `node ws_broadcast.mjs PORT`; speaks like limit.c.
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import WebSocket, { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
let n = 0;

function payload(size) {
  n += 1;
  const microseconds = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const head = `{"d":"~${String(microseconds).padStart(16, "0")}~`;
  const tail = `~","n":"${String(n).padStart(8, "0")}"}`;
  return head + "x".repeat(size - head.length - tail.length) + tail;
}

function broadcast(size) {
  const data = Buffer.from(payload(size));
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
  }
}

async function go(count, perSecond, size) {
  const begin = performance.now();
  for (let round = 0; round < count; round++) {
    const wait = begin + (round * 1000) / perSecond - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    else await new Promise((resolve) => setImmediate(resolve));
    broadcast(size);
  }
  console.log(JSON.stringify({ n }));
}

server.on("listening", () => console.log("listening"));
for await (const line of createInterface({ input: process.stdin })) {
  const [, count, perSecond, size] = line.split(" ").map(Number);
  await go(count, perSecond, size);
}
process.exit(0);
