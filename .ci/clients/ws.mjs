// Watches an order over a WebSocket with `ws`, once with a token in a header and once with a ticket.
import WebSocket from "ws";

import { call, deadline, logIn, order, place } from "./shop.mjs";

deadline();
const token = await logIn();
const { ticket } = await call(`${order}/v1/orders/stream/tickets`, { method: "POST", token });
const url = `${order.replace("http", "ws")}/v1/orders/stream`;

async function confirmed(socket) {
  let placed;
  for await (const [data] of messages(socket)) {
    const message = JSON.parse(data);
    if (message.type === "stream.ready") placed = await place(token);
    if (message.type === "order.confirmed.v1" && message.data.order_id === placed) {
      socket.close(1000);
      return placed;
    }
  }
  throw new Error("the socket was closed before the order was confirmed");
}

async function* messages(socket) {
  const { on } = await import("node:events");
  yield* on(socket, "message", { close: ["close"] });
}

const byHeader = await confirmed(new WebSocket(url, { headers: { authorization: `Bearer ${token}` } }));
console.log(`ws: order ${byHeader} is confirmed`);
console.log(`ws with a ticket: order ${await confirmed(new WebSocket(`${url}?ticket=${ticket}`))} is confirmed`);

// A ticket opens one stream.
const refused = await new Promise((resolve) => {
  new WebSocket(`${url}?ticket=${ticket}`).on("unexpected-response", (_, response) => resolve(response.statusCode));
});
if (refused !== 401) throw new Error(`a ticket that was used: ${refused}`);
process.exit();
