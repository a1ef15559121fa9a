// Watches an order with `graphql-ws`, and goes on after a cursor.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { confirmed } from "./graphql_stream.mjs";
import { deadline, logIn, order } from "./shop.mjs";

deadline();
const token = await logIn();
const options = { url: `${order.replace("http", "ws")}/graphql/stream`, webSocketImpl: WebSocket };
const client = createClient({ ...options, connectionParams: { authorization: `Bearer ${token}` } });
console.log(`graphql-ws: order ${await confirmed(client, token)} is confirmed`);

// Who has no good token is told so in the protocol's own way.
const stranger = createClient({ ...options, lazy: false, retryAttempts: 0, onNonLazyError() {} });
const code = await new Promise((resolve) => stranger.on("closed", (event) => resolve(event.code)));
if (code !== 4403) throw new Error(`a stranger: ${code}`);
await client.dispose();
process.exit();
