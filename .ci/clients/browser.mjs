// A page of another origin logs in, watches its order with EventSource and places it with fetch, in a real browser.
import { createServer } from "node:http";

import { chromium } from "playwright-core";

import { deadline, from, newcomer, order, user } from "./shop.mjs";

deadline(60);

// What runs in the page: whatever CORS keeps from it, it does not have.
async function story({ user, order, somebody }) {
  const post = (url, body, headers = {}) =>
    fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  await post(`${user}/v1/users`, { ...somebody, name: "Ada" });
  const { access_token: token } = await (await post(`${user}/v1/sessions`, somebody)).json();
  const authorization = `Bearer ${token}`;
  const { ticket } = await (await post(`${order}/v1/orders/stream/tickets`, {}, { authorization })).json();
  const events = new EventSource(`${order}/v1/orders/stream?ticket=${ticket}`);
  const next = (type) => new Promise((resolve, reject) => {
    events.addEventListener(type, (event) => resolve(JSON.parse(event.data)));
    events.onerror = () => reject(new Error("the stream of events broke"));
  });
  await next("stream.ready");
  const confirmed = next("order.confirmed.v1");
  const { items } = await (await fetch(`${order}/v1/products?query=mug&limit=1`)).json();
  const line = { product_id: items[0].id, quantity: 1 };
  const placed = await post(`${order}/v1/orders`, { items: [line], payment_token: "tok_ok" },
    { authorization, "idempotency-key": crypto.randomUUID() });
  const event = await confirmed;
  events.close();
  const refused = await post(`${order}/v1/orders`, {});
  return {
    placed: (await placed.json()).id, confirmed: event.data.order_id, location: placed.headers.get("location"),
    problem: (await refused.json()).type, challenge: refused.headers.get("www-authenticate"),
  };
}

const origin = new URL(from("PAGE_ORIGIN"));
const page = (_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><title>Shop</title>");
const [shop, other] = [createServer(page), createServer(page)];
await new Promise((ready) => shop.listen(Number(origin.port), "127.0.0.1", ready));
await new Promise((ready) => other.listen(0, "127.0.0.1", ready));
const browser = await chromium.launch({
  executablePath: from("CHROMIUM"),
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
});
try {
  const tab = await browser.newPage();
  await tab.goto(origin.href);
  const told = await tab.evaluate(story, { user, order, somebody: newcomer() });
  if (!told.placed || told.confirmed !== told.placed || told.problem !== "/problems/token-missing") {
    throw new Error(JSON.stringify(told));
  }
  if (!told.location) throw new Error("the page cannot read Location");
  console.log(`Chromium: order ${told.placed} is confirmed`);

  // A page of an origin that is not configured gets nothing.
  await tab.goto(`http://127.0.0.1:${other.address().port}/`);
  const kept = await tab.evaluate((url) => fetch(url).then(() => "an answer", (error) => error.name), `${order}/v1/products`);
  if (kept !== "TypeError") throw new Error(`a page of another origin was given ${kept}`);
} finally {
  await browser.close();
  shop.close();
  other.close();
}
