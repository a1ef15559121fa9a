"""What no OpenAPI document can say of the services, for schemathesis."""

import hashlib
import hmac
import os
import time

import requests
import schemathesis


class Signature(requests.auth.AuthBase):
    """`Webhook-Signature` of the body as it is sent, as the payment provider makes it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        now = str(int(time.time()))
        code = hmac.new(os.environ["WEBHOOK_SECRET"].encode(), f"{now}.".encode() + body, hashlib.sha256)
        request.headers["Webhook-Signature"] = f"t={now},v1={code.hexdigest()}"
        return request


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict) -> None:
    """Takes the patterns of headers that are ignored, and not refused, where they do not fit."""
    for name in ("traceparent", "x-canary"):
        raw_schema["components"]["parameters"][name]["schema"].pop("pattern")


@schemathesis.hook
def after_load_schema(context: schemathesis.HookContext, schema: schemathesis.BaseSchema) -> None:
    """Signs where a signature is needed."""
    if "signature" in schema.raw_schema["components"].get("securitySchemes", {}):
        schema.auth.set_from_requests(Signature())


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: object) -> bool:
    """Leaves out 1.0, which JSON Schema takes for an integer and the services do not."""
    if isinstance(body, dict):
        return all(filter_body(context, value) for value in body.values())
    if isinstance(body, list):
        return all(filter_body(context, value) for value in body)
    return not (isinstance(body, float) and body.is_integer())
