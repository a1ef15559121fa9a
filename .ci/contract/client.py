"""Places an order with the client that openapi-python-client makes of docs/openapi/shop.json."""

import os
import uuid

from trireme_client import AuthenticatedClient, Client
from trireme_client.api.orders import place_order
from trireme_client.api.products import list_products
from trireme_client.api.sessions import log_in
from trireme_client.api.users import register
from trireme_client.models import Credentials, NewLine, NewOrder, NewUser, Order, OrderStatus

email, password = f"{uuid.uuid4()}@example.org", "correct horse battery"
user = Client(base_url=os.environ["USER_URL"])
register.sync(client=user, body=NewUser(email=email, name="Ada", password=password))
session = log_in.sync(client=user, body=Credentials(email=email, password=password))

shop = AuthenticatedClient(base_url=os.environ["ORDER_URL"], token=session.access_token)
product = list_products.sync(client=shop, query="mug", limit=1).items[0]
body = NewOrder(items=[NewLine(product_id=product.id, quantity=1)], payment_token="tok_ok")
order = place_order.sync(client=shop, body=body, idempotency_key=str(uuid.uuid4()))
assert isinstance(order, Order) and order.status == OrderStatus.CONFIRMED, order
print(f"Python: order {order.id} is confirmed")
