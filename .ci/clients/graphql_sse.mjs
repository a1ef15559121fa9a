// Watches an order with `graphql-sse`, and goes on after a cursor.
import { createClient } from "graphql-sse";

import { confirmed } from "./graphql_stream.mjs";
import { deadline, logIn, order } from "./shop.mjs";

deadline();
const token = await logIn();
const client = createClient({ url: `${order}/graphql/stream`, headers: { authorization: `Bearer ${token}` } });
console.log(`graphql-sse: order ${await confirmed(client, token)} is confirmed`);
client.dispose();
process.exit();
