// Places an order with `graphql-request` and reads it until it is confirmed.
import { randomUUID } from "node:crypto";

import { GraphQLClient, gql } from "graphql-request";

import { deadline, logIn, order } from "./shop.mjs";

deadline();
const client = new GraphQLClient(`${order}/graphql`, { headers: { authorization: `Bearer ${await logIn()}` } });

const { products } = await client.request(gql`{ products(query: "mug", first: 1) { nodes: edges { node { id } } } }`);
const variables = {
  key: randomUUID(),
  input: { items: [{ productId: products.nodes[0].node.id, quantity: 1 }], paymentToken: "tok_ok" },
};
const PLACE = gql`
  mutation ($key: String!, $input: PlaceOrderInput!) {
    placeOrder(idempotencyKey: $key, input: $input) { replayed order { id status customer { email } } }
  }
`;
const { placeOrder } = await client.request(PLACE, variables);
let placed = placeOrder.order;
while (placed.status === "PENDING") {
  ({ order: placed } = await client.request(gql`query ($id: ID!) { order(id: $id) { id status } }`, placed));
}
if (placed.status !== "CONFIRMED" || !placeOrder.order.customer.email) throw new Error(JSON.stringify(placeOrder));
console.log(`graphql-request: order ${placed.id} is confirmed`);

// Refusals have the names that all interfaces have.
const unknown = { ...variables, key: randomUUID(), input: { ...variables.input, paymentToken: "unheard_of" } };
const refused = await client.request(PLACE, unknown).catch((error) => error.response);
const codes = refused.errors?.map((error) => error.extensions.code);
if (String(codes) !== "UNKNOWN_PAYMENT_TOKEN") throw new Error(JSON.stringify(refused));
