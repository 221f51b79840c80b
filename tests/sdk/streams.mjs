// The unmodified JavaScript SDK without WebSocket, on a server of several workers. Arguments: base
// URL, transport, endpoint, and "json" or "protobuf". Every client's commands may reach another worker than its stream.
import assert from 'node:assert/strict';

const [base, transport, endpoint, form] = process.argv.slice(2);
const binary = form === 'protobuf';
const { Centrifuge } = await import(binary ? 'centrifuge/build/protobuf' : 'centrifuge');
const put = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const get = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);
const options = {
  ...(binary && { protocol: 'protobuf' }),
  transports: [{ transport, endpoint: base + endpoint }],
  emulationEndpoint: base + '/emulation',
  eventsource: globalThis.EventSource,
  minReconnectDelay: 50,
  maxReconnectDelay: 200,
};
const until = (emitter, event, wanted = () => true) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event}`)), 10_000);
    emitter.on(event, (context) => {
      if (!wanted(context)) return;
      clearTimeout(late);
      resolve(context);
    });
  });
const token = async () => {
  const answer = await fetch(base + '/v1/session', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}',
  });
  return (await answer.json()).token;
};

const one = async (number) => {
  const client = new Centrifuge(options.transports, { ...options, token: await token() });
  const connected = until(client, 'connected');
  client.connect();
  assert.equal((await connected).transport, transport);
  const chat = client.newSubscription('chat:demo');
  const subscribed = until(chat, 'subscribed');
  chat.subscribe();
  const { streamPosition } = await subscribed;
  assert.ok(streamPosition.epoch);
  const text = `hello ${transport} ${form} ${number} 直播`;  // nobody repeats another
  const seen = until(chat, 'publication', (context) => get(context.data).text === text);
  await chat.publish(put({ text }));
  assert.equal(get((await seen).data).user.name.length > 0, true);
  const history = await chat.history({ limit: 10, reverse: true });
  assert.ok(history.publications.some((item) => get(item.data).text === text));
  assert.ok((await chat.presenceStats()).numClients >= 0);
  await assert.rejects(client.rpc('unheard.of', put({})), { code: 108 });
  const left = until(chat, 'unsubscribed');
  chat.unsubscribe();
  await left;
  const end = until(client, 'disconnected');
  client.disconnect();
  await end;
};

const wrong = new Centrifuge(options.transports, { ...options, token: 'x.y.z' });
const refused = until(wrong, 'disconnected');
wrong.connect();
assert.equal((await refused).code, 3500);

await Promise.all([1, 2, 3, 4, 5, 6].map(one));
console.log('done');
process.exit(0);
