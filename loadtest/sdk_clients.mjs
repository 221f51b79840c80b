// Real SDK clients: `node sdk_clients.mjs URL CHANNELS TOKEN…`. Each subscribes to all channels and notes how late
// every marked message (`~<microseconds>~`) comes. `stats` on standard input prints and clears the figures.
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import { Centrifuge } from "centrifuge";

const [url, channels, ...tokens] = process.argv.slice(2);
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
let late = [];
let gaps = 0;
let subscribed = 0;

function heard(client, context) {
  const text = JSON.stringify(context.data);
  const at = text.indexOf("~");
  if (at < 0) return;
  late.push(performance.timeOrigin + performance.now() - Number(text.slice(at + 1, at + 17)) / 1000);
  if (context.offset === undefined) return;
  const last = client.last.get(context.channel);
  if (last !== undefined && context.offset !== last + 1) gaps += 1;
  client.last.set(context.channel, context.offset);
}

for (const token of tokens) {
  const client = new Centrifuge(url, { token });
  client.last = new Map();
  for (const channel of channels.split(",")) {
    const subscription = client.newSubscription(channel);
    subscription.on("publication", (context) => heard(client, context));
    subscription.once("subscribed", () => {
      subscribed += 1;
      if (subscribed === tokens.length * channels.split(",").length) console.log('{"ready":true}');
    });
    subscription.subscribe();
  }
  client.connect();
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "quit") break;
  late.sort((a, b) => a - b);
  const quantile = (share) => late[Math.min(late.length - 1, Math.floor(share * late.length))] ?? 0;
  console.log(
    JSON.stringify({ count: late.length, gaps, p50_ms: quantile(0.5), p99_ms: quantile(0.99), max_ms: late.at(-1) ?? 0 }),
  );
  late = [];
}
process.exit(0);
