"""Places an order with `gql` and reads it until it is confirmed."""

import asyncio
import os
import sys
import uuid

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport

ORDER = os.environ["ORDER_URL"]
PLACE = gql(
    "mutation ($key: String!, $input: PlaceOrderInput!) {"
    "  placeOrder(idempotencyKey: $key, input: $input) { order { id status total { amount currency } } } }"
)
READ = gql("query ($id: ID!) { order(id: $id) { id status } }")


async def main(token: str) -> None:
    transport = AIOHTTPTransport(url=f"{ORDER}/graphql", headers={"authorization": f"Bearer {token}"})
    async with Client(transport=transport, execute_timeout=20) as session:
        found = await session.execute(gql('{ products(query: "mug", first: 1) { edges { node { id } } } }'))
        product = found["products"]["edges"][0]["node"]["id"]
        order = {"items": [{"productId": product, "quantity": 1}], "paymentToken": "tok_ok"}
        PLACE.variable_values = {"key": str(uuid.uuid4()), "input": order}
        placed = (await session.execute(PLACE))["placeOrder"]["order"]
        while placed["status"] == "PENDING":
            READ.variable_values = {"id": placed["id"]}
            placed = (await session.execute(READ))["order"]
        assert placed["status"] == "CONFIRMED", placed
        print(f"gql: order {placed['id']} is confirmed")


asyncio.run(main(sys.argv[1]))
