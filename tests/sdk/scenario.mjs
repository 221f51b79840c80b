// The unmodified JavaScript SDK, driven step by step. Arguments: URL, token, names as JSON, and
// "json" or "protobuf", whose payloads are the bytes of JSON.
// Where the server has to do something it prints {"do": …} and waits for a line on stdin.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';

const [url, token, names] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4])];
const binary = process.argv[5] === 'protobuf';
const { Centrifuge } = await import(binary ? 'centrifuge/build/protobuf' : 'centrifuge');
const put = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const get = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  console.log(JSON.stringify({ do: what }));
  return JSON.parse((await lines.next()).value);
};
const once = (emitter, event, wanted = () => true) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event}`)), 10_000);
    const listener = (context) => {
      if (!wanted(context)) return;
      clearTimeout(late);
      emitter.off(event, listener);
      resolve(context);
    };
    emitter.on(event, listener);
  });
const options = { ...(binary && { protocol: 'protobuf' }), minReconnectDelay: 50, maxReconnectDelay: 200, name: 'test' };

// connect without a token: refused for good
const nobody = new Centrifuge(url, options);
const refused = once(nobody, 'disconnected');
nobody.connect();
assert.equal((await refused).code, 101);

// tokens that end soon are renewed in time, of the connection and of a subscription, which both stay
const asked = { connection: 0, subscription: 0 };
const sign = (claims) => {
  const body = [{ alg: 'HS256', typ: 'JWT' }, { ...claims, exp: Math.floor(Date.now() / 1000) + 3 }]
    .map((one) => Buffer.from(JSON.stringify(one)).toString('base64url'))
    .join('.');
  return `${body}.${createHmac('sha256', names.secret).update(body).digest('base64url')}`;
};
const brief = new Centrifuge(url, {
  ...options,
  token: sign({ sub: names.user }),
  getToken: async () => (asked.connection++, token),
});
const unwanted = [];
brief.on('connecting', (context) => unwanted.push(context));
const kept = brief.newSubscription(names.channel, {
  token: sign({ sub: names.user, channel: names.channel }),
  getToken: async () => (asked.subscription++, names.token),
});
kept.on('subscribing', (context) => unwanted.push(context));
kept.subscribe();
brief.connect();
await kept.ready(10_000);
const renewed = async () => {
  while (!asked.connection || !asked.subscription) await new Promise((go) => setTimeout(go, 50));
  await brief.rpc('whoami', put({})); // the server has answered the renewal that went before
  assert.equal(unwanted.length, 2); // of the beginning
  const gone = once(brief, 'disconnected');
  brief.disconnect();
  await gone;
};
await renewed();

// with a token: the personal channel is subscribed by the server
const client = new Centrifuge(url, { ...options, token });
const connected = once(client, 'connected');
const personal = once(client, 'subscribed', (context) => context.channel === names.personal);
client.connect();
const hello = await connected;
assert.ok(hello.client && hello.transport === 'websocket');
assert.equal((await personal).recoverable, true);
const told = once(client, 'publication', (context) => context.channel === names.personal);
await ask('tell');
assert.equal(get((await told).data).order, 'o1');

// rpc: an answer, a refusal, an unknown method
assert.deepEqual(get((await client.rpc('whoami', put({}))).data), { user: names.user });
await assert.rejects(client.rpc('refuse', put({})), { code: 1001, message: 'Nothing is left' });
await assert.rejects(client.rpc('unheard.of', put({})), { code: 108 });

// subscribe with a token, publish, history, presence
const seen = [];
const subscription = client.newSubscription(names.channel, { token: names.token, joinLeave: true });
subscription.on('publication', (context) => seen.push(context));
const subscribed = once(subscription, 'subscribed');
const joined = once(subscription, 'join');
subscription.subscribe();
const first = await subscribed;
assert.equal(first.recoverable, true);
assert.equal((await joined).info.user, names.user);
await subscription.publish(put({ n: 1, text: '直播\n' }));
const history = await subscription.history({ limit: -1 });
assert.deepEqual(history.publications.map((one) => get(one.data)), [{ n: 1, text: '直播\n' }]);
assert.equal(history.publications[0].info.user, names.user);
const presence = await subscription.presence();
assert.deepEqual(Object.values(presence.clients).map((one) => one.user), [names.user]);
assert.deepEqual(await subscription.presenceStats(), { numClients: 1, numUsers: 1 });

// the connection is dropped; what was published meanwhile is recovered, then it goes on
const back = once(subscription, 'subscribed');
const reconnecting = once(client, 'connecting');
await ask('drop and publish 2, 3');
assert.equal((await reconnecting).code, 3001);
const recovered = await back;
assert.deepEqual([recovered.wasRecovering, recovered.recovered], [true, true]);
const fourth = once(subscription, 'publication', (context) => get(context.data).n === 4);
await ask('publish 4');
await fourth;
assert.deepEqual(seen.map((one) => get(one.data).n), [1, 2, 3, 4]);
assert.deepEqual(seen.map((one) => one.offset), [1, 2, 3, 4]);

// a lost state: unsubscribed with 2500 by the server, subscribed again by the SDK, not recovered
const again = once(subscription, 'subscribed');
const resubscribing = once(subscription, 'subscribing');
await ask('lose the state');
assert.equal((await resubscribing).code, 2500);
const anew = await again;
assert.deepEqual([anew.wasRecovering, anew.recovered], [true, false]);

// leave, and be refused
const unsubscribed = once(subscription, 'unsubscribed');
subscription.unsubscribe();
await unsubscribed;
const closed = client.newSubscription('nowhere:x');
const why = once(closed, 'unsubscribed');
closed.subscribe();
assert.equal((await why).code, 102);

const end = once(client, 'disconnected');
client.disconnect();
await end;
console.log(JSON.stringify({ do: 'done' }));
process.exit(0);
