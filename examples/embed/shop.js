// The shop's side: its cart takes what viewers choose in the room, and it hears what they ordered there.
// What is ordered is only shown here. Whether it is paid is for the shop's server to hear, by webhook.

const room = document.querySelector("live-room");
const cart = document.getElementById("cart");
const total = document.getElementById("total");
const explained = document.getElementById("explained");
const show = document.getElementById("show");
const news = document.getElementById("news");

/** At most this many of one thing, as an example of a cart that says no. */
const MOST = 5;
/** sku -> what lies in the cart */
const lines = new Map();

const money = (cents, currency) => new Intl.NumberFormat("en", { style: "currency", currency }).format(cents / 100);

/** The room hands a product over; an Error is the answer "no", and its words are shown to the viewer. */
room.onCart = async (line) => {
  const quantity = (lines.get(line.sku)?.quantity || 0) + line.quantity;
  if (quantity > MOST) throw new Error(`At most ${MOST} of each, please.`);
  // A real shop asks its own server for the price; what comes from a browser is a wish, not a price.
  lines.set(line.sku, { ...line, quantity });
  draw();
};

function draw() {
  const rows = [...lines.values()].map(({ sku, title, quantity }) => {
    const row = document.createElement("li");
    row.dataset.sku = sku;
    row.textContent = `${quantity} × ${title}`;
    return row;
  });
  cart.replaceChildren(...rows);
  const sum = [...lines.values()].reduce((cents, line) => cents + line.quantity * line.unit_price_cents, 0);
  total.textContent = rows.length ? money(sum, lines.values().next().value.currency) : "";
}

room.addEventListener("product.explained", ({ detail: { product } }) => {
  explained.textContent = product ? `Now explained: ${product.title}` : "Nothing is being explained.";
  show.hidden = !product;
  show.onclick = () => room.openProduct(product.sku);
});

for (const type of ["room.ready", "order.reserved", "order.paid", "order.cancelled", "session.wanted", "session.changed", "session.refused"]) {
  room.addEventListener(type, ({ detail }) => {
    const row = document.createElement("li");
    row.dataset.type = type;
    row.textContent = `${type} ${detail.order?.id || detail.room?.title || detail.user || detail.reason || ""}`;
    news.append(row);
  });
}
