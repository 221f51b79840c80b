// What people rely on in the JavaScript SDK, unmodified, on a server that is open for a trial.
// Arguments: base URL, transport, "json" or "protobuf", the secret of tokens, the key of the server API.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

const [base, transport, form, secret, key] = process.argv.slice(2);
const binary = form === 'protobuf';
const { Centrifuge, UnauthorizedError } = await import(
  binary ? 'centrifuge/build/protobuf' : 'centrifuge'
);
const put = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const get = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);
const PATIENCE = 20_000; // ms, on a busy machine

const endpoint =
  transport === 'websocket'
    ? base.replace('http', 'ws') + '/connection/websocket'
    : `${base}/connection/${transport}`;
const make = (more = {}) =>
  new Centrifuge([{ transport, endpoint }], {
    ...(binary && { protocol: 'protobuf' }),
    emulationEndpoint: base + '/emulation',
    eventsource: globalThis.EventSource,
    minReconnectDelay: 10,
    maxReconnectDelay: 200,
    timeout: PATIENCE,
    ...more,
  });
const code64 = (value) => Buffer.from(value).toString('base64url');
const sign = (claims) => {
  const body = [{ alg: 'HS256', typ: 'JWT' }, claims].map((one) => code64(JSON.stringify(one))).join('.');
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
};
const api = async (method, body) => {
  const headers = { 'Content-Type': 'application/json', 'X-API-Key': key };
  const answer = await fetch(`${base}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const told = await answer.json();
  assert.ok(answer.ok && !told.error, JSON.stringify(told));
  return told.result;
};
const event = (emitter, name, wanted = () => true) => {
  const waiting = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${name}`)), PATIENCE);
    const listener = (context) => {
      if (!wanted(context)) return;
      clearTimeout(late);
      emitter.off(name, listener);
      resolve(context);
    };
    emitter.on(name, listener);
  });
  waiting.catch(() => {}); // told by who awaits it, unless something else failed before
  return waiting;
};
const eventually = async (ask, wanted) => {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await ask();
    if (wanted(found)) return found;
    assert.ok(Date.now() < end, JSON.stringify(found));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
const leave = async (client) => {
  const gone = event(client, 'disconnected');
  client.disconnect();
  assert.equal((await gone).code, 0);
};
const connect = async (more) => {
  const client = make(more);
  client.connect();
  await client.ready(PATIENCE);
  return client;
};
let names = 0;
const fresh = (namespace = '') => `${namespace}${transport}${form}${process.pid}_${++names}`;
const heard = (subscription) => {
  const seen = [];
  subscription.on('publication', (context) => seen.push(get(context.data).n));
  return seen;
};

const behaviours = {
  'what is asked before the connection waits for it': async () => {
    const client = make();
    const answer = assert.rejects(client.rpc('unheard.of', put({})), { code: 108 });
    client.connect();
    await answer;
    await leave(client);
  },

  'connecting and leaving at once, many times, ends where the last call said': async () => {
    const client = make();
    for (let n = 0; n < 10; n++) {
      client.connect();
      client.disconnect();
    }
    assert.equal(client.state, 'disconnected');
    client.connect();
    await client.ready(PATIENCE);
    await leave(client);
  },

  'subscribing and leaving at once, many times, counts one, then nobody': async () => {
    const client = await connect();
    const name = fresh();
    const subscription = client.newSubscription(name);
    for (let n = 0; n < 10; n++) {
      subscription.subscribe();
      subscription.unsubscribe();
    }
    assert.equal(subscription.state, 'unsubscribed');
    subscription.subscribe();
    await subscription.ready(PATIENCE);
    await eventually(() => subscription.presenceStats(), (one) => one.numClients === 1 && one.numUsers === 1);
    await eventually(() => subscription.presence(), (one) => Object.keys(one.clients).length === 1);
    subscription.unsubscribe();
    await eventually(() => client.presenceStats(name), (one) => one.numClients === 0 && one.numUsers === 0);
    await eventually(() => client.presence(name), (one) => Object.keys(one.clients).length === 0);
    await leave(client);
  },

  'a subscription that is given up while the client connects can be taken up again': async () => {
    const client = make();
    const subscription = client.newSubscription(fresh());
    subscription.subscribe();
    client.connect();
    client.disconnect();
    client.connect();
    subscription.unsubscribe();
    await client.ready(PATIENCE);
    const subscribed = event(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    await leave(client);
  },

  'a page that goes offline comes back by itself': async () => {
    const network = new EventTarget();
    const client = await connect({ networkEventTarget: network });
    const lost = event(client, 'connecting');
    network.dispatchEvent(new Event('offline'));
    await lost;
    network.dispatchEvent(new Event('online'));
    await client.ready(PATIENCE);
    await leave(client);
    network.dispatchEvent(new Event('online'));
    assert.equal(client.state, 'disconnected');
  },

  'one publishes, everybody hears, with who it was left out': async () => {
    const [one, two] = await Promise.all([connect(), connect()]);
    const name = fresh();
    const subscriptions = [one, two].map((client) => client.newSubscription(name));
    const told = subscriptions.map((subscription) => event(subscription, 'publication'));
    for (const subscription of subscriptions) subscription.subscribe();
    await Promise.all(subscriptions.map((subscription) => subscription.ready(PATIENCE)));
    await subscriptions[0].publish(put({ my: 'data' }));
    for (const context of await Promise.all(told)) assert.deepEqual(get(context.data), { my: 'data' });
    await Promise.all([leave(one), leave(two)]);
  },

  'a burst of commands is answered whole, on the one connection': async () => {
    const client = await connect();
    const disconnects = [];
    client.on('connecting', (context) => disconnects.push(context));
    const subscription = client.newSubscription(fresh('recovery:'));
    const numbers = [];
    subscription.on('publication', (context) => numbers.push(get(context.data).n));
    subscription.subscribe();
    await subscription.ready(PATIENCE);
    const many = Array.from({ length: transport === 'websocket' ? 1000 : 200 }, (_, n) => n);
    await Promise.all(many.map((n) => subscription.publish(put({ n }))));
    const histories = await Promise.all(many.map(() => subscription.history({ limit: 1, reverse: true })));
    assert.ok(histories.every((one) => one.offset === many.length));
    await eventually(() => numbers, () => numbers.length === many.length);
    assert.deepEqual(numbers.toSorted((a, b) => a - b), many);
    if (transport === 'websocket') assert.deepEqual(numbers, many); // requests may overtake each other
    assert.deepEqual(disconnects, []);
    await leave(client);
  },

  'tokens that name no user are for anonymous people, asked for once each': async () => {
    const asked = { connection: 0, subscriptions: 0 };
    const client = make({
      getToken: async () => {
        asked.connection++;
        if (asked.connection === 1) throw new Error('away for a moment');
        return sign({ iat: 1_737_532_348 });
      },
    });
    client.connect();
    const subscriptions = [1, 2, 3, 4, 5].map(() => {
      const channel = fresh();
      let tried = 0;
      return client.newSubscription(channel, {
        minResubscribeDelay: 1,
        getToken: async () => {
          asked.subscriptions++;
          if (++tried === 1) throw new Error('away for a moment');
          return sign({ iat: 1_737_532_348, channel });
        },
      });
    });
    const ends = subscriptions.map((subscription) => event(subscription, 'unsubscribed'));
    for (const subscription of subscriptions) subscription.subscribe();
    await Promise.all(subscriptions.map((subscription) => subscription.ready(PATIENCE)));
    for (const subscription of subscriptions) subscription.unsubscribe();
    for (const context of await Promise.all(ends)) assert.equal(context.code, 0);
    assert.deepEqual(asked, { connection: 2, subscriptions: 10 });
    await leave(client);
  },

  'a subscription token alone, and none that the page wants to give': async () => {
    const client = await connect();
    const channel = fresh();
    const known = client.newSubscription(channel, { token: sign({ channel }) });
    known.subscribe();
    await known.ready(PATIENCE);
    const refused = client.newSubscription(fresh(), {
      getToken: async () => {
        throw new UnauthorizedError('');
      },
    });
    const why = event(refused, 'unsubscribed');
    refused.subscribe();
    assert.equal((await why).code, 1);
    assert.equal(client.state, 'connected');
    await leave(client);
  },

  'what was missed is recovered, after a connection and after a subscription': async () => {
    const client = await connect();
    const channel = fresh('recovery:');
    const subscription = client.newSubscription(channel);
    const seen = heard(subscription);
    subscription.subscribe();
    await subscription.ready(PATIENCE);
    await api('publish', { channel, data: { n: 1 } });
    await eventually(() => seen, () => seen.length === 1);
    const away = [
      [() => client.disconnect(), () => client.connect()],
      [() => subscription.unsubscribe(), () => subscription.subscribe()],
    ];
    for (const [go, back] of away) {
      const from = seen.length;
      go();
      for (const n of [1, 2, 3]) await api('publish', { channel, data: { n: from + n } });
      const again = event(subscription, 'subscribed');
      back();
      const context = await again;
      assert.deepEqual([context.wasRecovering, context.recovered], [true, true]);
      await eventually(() => seen, () => seen.length === from + 3);
    }
    await api('publish', { channel, data: { n: 8 } });
    await eventually(() => seen, () => seen.length === 8);
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
    await leave(client);
  },

  'what history does not have any more is told, and it goes on': async () => {
    const client = await connect();
    const channel = fresh('smallhistory:');
    const subscription = client.newSubscription(channel);
    const seen = heard(subscription);
    subscription.subscribe();
    await subscription.ready(PATIENCE);
    await api('publish', { channel, data: { n: 1 } });
    await eventually(() => seen, () => seen.length === 1);
    subscription.unsubscribe();
    for (const n of [2, 3, 4, 5]) await api('publish', { channel, data: { n } });
    const again = event(subscription, 'subscribed');
    subscription.subscribe();
    const context = await again;
    assert.deepEqual([context.wasRecovering, context.recovered], [true, false]);
    await api('publish', { channel, data: { n: 6 } });
    await eventually(() => seen, () => seen.at(-1) === 6);
    await leave(client);
  },

  'a state read first: everything after it comes, and it is read again only for a loss': async () => {
    const client = await connect();
    const channel = fresh('smallhistory:');
    await api('publish', { channel, data: { n: 1 } });
    const begin = await api('history', { channel, limit: 0 });
    await api('publish', { channel, data: { n: 2 } });
    await api('publish', { channel, data: { n: 3 } });
    let read = 0;
    const subscription = client.newSubscription(channel, {
      minResubscribeDelay: 1,
      maxResubscribeDelay: 50,
      getState: async () => {
        if (++read === 1) throw new Error('away for a moment');
        if (read === 2) return { offset: begin.offset, epoch: begin.epoch };
        const { offset, epoch } = await api('history', { channel, limit: 0 });
        return { offset, epoch };
      },
    });
    const seen = heard(subscription);
    subscription.subscribe();
    await eventually(() => seen, () => seen.length === 2);
    assert.deepEqual([seen, read], [[2, 3], 2]);
    const back = event(subscription, 'subscribed');
    client.disconnect();
    client.connect();
    await back;
    assert.equal(read, 2);
    client.disconnect();
    for (const n of [4, 5, 6, 7, 8]) await api('publish', { channel, data: { n } });
    const anew = event(subscription, 'subscribed');
    client.connect();
    await anew;
    assert.equal(read, 3);
    await api('publish', { channel, data: { n: 9 } });
    await eventually(() => seen, () => seen.at(-1) === 9);
    assert.deepEqual(seen, [2, 3, 9]);
    await leave(client);
  },

  'a position of zero without an epoch is a beginning': async () => {
    const client = await connect();
    const channel = fresh('recovery:');
    for (const n of [1, 2]) await api('publish', { channel, data: { n } });
    const subscription = client.newSubscription(channel, { since: { offset: 0, epoch: '' } });
    const seen = heard(subscription);
    subscription.subscribe();
    await eventually(() => seen, () => seen.length === 2);
    await leave(client);
  },

  'small changes of a large message arrive whole, as differences': async () => {
    if (transport === 'sse') return; // the SDK takes them there too, and the form is that of JSON
    const client = await connect();
    const channel = fresh('delta:');
    const subscription = client.newSubscription(channel, { delta: 'fossil' });
    const seen = [];
    subscription.on('publication', (context) => seen.push(get(context.data)));
    subscription.subscribe();
    await subscription.ready(PATIENCE);
    const whole = (n) => ({ n, text: `直播 ${'0123456789'.repeat(40)}`, last: n % 3 });
    for (let n = 1; n <= 20; n++) await api('publish', { channel, data: whole(n) });
    await eventually(() => seen, () => seen.length === 20);
    subscription.unsubscribe();
    for (let n = 21; n <= 23; n++) await api('publish', { channel, data: whole(n) });
    subscription.subscribe();
    await eventually(() => seen, () => seen.length === 23);
    await api('publish', { channel, data: whole(24) });
    await eventually(() => seen, () => seen.length === 24);
    assert.deepEqual(seen, Array.from({ length: 24 }, (_, n) => whole(n + 1)));
    await leave(client);
  },
};

const failed = [];
await Promise.all(
  Object.entries(behaviours).map(async ([name, check]) => {
    try {
      await check();
    } catch (problem) {
      failed.push(`${name}: ${problem.stack}`);
    }
  }),
);
if (failed.length) {
  console.error(failed.join('\n\n'));
  process.exit(1);
}
console.log(`${Object.keys(behaviours).length} hold`);
process.exit(0);
