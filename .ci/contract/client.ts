// Places an order with the types that openapi-typescript makes of docs/openapi/shop.json.
import createClient from "openapi-fetch";

import type { paths } from "./schema.js";

// Node's, of which no more is needed.
declare const process: { env: Record<string, string | undefined> };

function from(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const user = createClient<paths>({ baseUrl: from("USER_URL") });
const order = createClient<paths>({ baseUrl: from("ORDER_URL") });
const email = `${crypto.randomUUID()}@example.org`;
const password = "correct horse battery";

await user.POST("/v1/users", { body: { email, name: "Ada", password } });
const session = await user.POST("/v1/sessions", { body: { email, password } });
if (!session.data) throw new Error(session.error.type);
const headers = { Authorization: `Bearer ${session.data.access_token}` };

const products = await order.GET("/v1/products", { params: { query: { query: "mug", limit: 1 } } });
const product = products.data?.items[0];
if (!product) throw new Error("there is no mug");

const placed = await order.POST("/v1/orders", {
  headers,
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { items: [{ product_id: product.id, quantity: 1 }], payment_token: "tok_ok" },
});
if (placed.data?.status !== "confirmed") throw new Error(JSON.stringify(placed.error ?? placed.data));

const refused = await order.POST("/v1/orders", {
  headers,
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { items: [{ product_id: product.id, quantity: 1 }], payment_token: "unheard_of" },
});
// The types know which problems there are: a name that no document has does not compile.
if (refused.error?.type !== "/problems/unknown-payment-token") throw new Error(JSON.stringify(refused));
console.log(`TypeScript: order ${placed.data.id} is confirmed`);
