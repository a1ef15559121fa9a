// What graphql-ws and graphql-sse do: watch, place an order, see it confirmed, and see that again after a cursor.
import { place } from "./shop.mjs";

const query = `subscription ($after: String) {
  orderEvents(after: $after) { type cursor order { id status customer { name } } }
}`;

export async function confirmed(client, token) {
  let placed, after;
  for await (const event of events(client)) {
    if (event.type === "READY") placed = await place(token);
    if (event.type === "PLACED") after = event.cursor;
    if (event.type === "CONFIRMED") break;
  }
  for await (const event of events(client, after)) {
    if (event.type !== "CONFIRMED") continue;
    const { id, status, customer } = event.order;
    if (id !== placed || status !== "CONFIRMED" || customer.name !== "Ada") throw new Error(JSON.stringify(event));
    return id;
  }
  throw new Error("it ended before the order was confirmed");
}

async function* events(client, after) {
  for await (const { data, errors } of client.iterate({ query, variables: { after } })) {
    if (errors) throw new Error(JSON.stringify(errors));
    yield data.orderEvents;
  }
}
