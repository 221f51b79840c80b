// Differences by the unmodified JavaScript SDK. Arguments: URL, token, channel,
// `json` or `protobuf`. The server drops
// the connection when this prints {"do": …}.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { Centrifuge as Json } from 'centrifuge';
import { Centrifuge as Protobuf } from 'centrifuge/build/protobuf';

const [url, token, channel, form] = process.argv.slice(2);
const Centrifuge = form === 'protobuf' ? Protobuf : Json;
const pack = (value) => (form === 'protobuf' ? new TextEncoder().encode(JSON.stringify(value)) : value);
const read = (data) => (form === 'protobuf' ? JSON.parse(new TextDecoder().decode(data)) : data);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const options = { token, minReconnectDelay: 50, maxReconnectDelay: 200 };
const filler = '商品'.repeat(100);
const received = [];
let wake = () => {};
const until = async (true_) => {
  const late = AbortSignal.timeout(10_000);
  while (!true_()) {
    late.throwIfAborted();
    await new Promise((resolve) => { wake = resolve; setTimeout(resolve, 100); });
  }
};
const client = new Centrifuge(url, options);
const subscription = client.newSubscription(channel, { delta: 'fossil' });
let times = 0;
let recovered = null;
subscription.on('publication', (context) => { received.push(read(context.data)); wake(); });
subscription.on('subscribed', (context) => { times += 1; recovered = context.recovered; wake(); });
client.connect();
subscription.subscribe();
const publisher = new Centrifuge(url, options);
let connected = 0;
publisher.on('connected', () => { connected += 1; wake(); });
publisher.connect();
await until(() => times === 1 && connected === 1);
for (let n = 1; n <= 5; n += 1) await publisher.publish(channel, pack({ n, filler }));
await until(() => received.length === 5);
console.log(JSON.stringify({ do: 'drop' }));
await lines.next();
await until(() => connected === 2);
for (let n = 6; n <= 8; n += 1) await publisher.publish(channel, pack({ n, filler }));
await until(() => times === 2 && received.length === 8);
await publisher.publish(channel, pack({ n: 9, filler }));
await publisher.publish(channel, pack({ n: 10, filler }));
await until(() => received.length === 10);
assert.equal(recovered, true);
assert.deepEqual(received, Array.from({ length: 10 }, (_, n) => ({ n: n + 1, filler })));
const stats = subscription.deltaStats();
assert.equal(stats.numPublications, 10);
// whole ones: the first, the first of the recovery if it had any, the first after it
assert.ok([2, 3].includes(stats.numFullPayloads), JSON.stringify(stats));
assert.ok(stats.compressionRatio > 0.5);
console.log(JSON.stringify({ do: 'done' }));
process.exit(0);
