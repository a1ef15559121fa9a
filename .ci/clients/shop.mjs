// What each client needs before its own part: an account, an access token, a product.
import { randomUUID } from "node:crypto";

export function from(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const [user, order] = [from("USER_URL"), from("ORDER_URL")];

export async function call(url, { token, ...options } = {}) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { ...options, headers: { ...headers, ...options.headers } });
  const body = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${JSON.stringify(body)}`);
  return body;
}

export const newcomer = () => ({ email: `${randomUUID()}@example.org`, password: "correct horse battery" });

export async function logIn() {
  const somebody = newcomer();
  await call(`${user}/v1/users`, { method: "POST", body: JSON.stringify({ ...somebody, name: "Ada" }) });
  return (await call(`${user}/v1/sessions`, { method: "POST", body: JSON.stringify(somebody) })).access_token;
}

export async function product() {
  return (await call(`${order}/v1/products?query=mug&limit=1`)).items[0].id;
}

// Places an order that will be paid.
export async function place(token) {
  const body = JSON.stringify({ items: [{ product_id: await product(), quantity: 1 }], payment_token: "tok_ok" });
  const headers = { "idempotency-key": randomUUID() };
  return (await call(`${order}/v1/orders`, { method: "POST", token, headers, body })).id;
}

// Ends the process with an error where something takes too long.
export function deadline(seconds = 20) {
  setTimeout(() => { throw new Error(`not done within ${seconds} s`); }, seconds * 1000).unref();
}
