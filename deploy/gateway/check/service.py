"""A service behind the gateway: publishes keys, fails when asked to, and otherwise returns the headers that it got."""

import http.server
import json
import sys

port, keys = int(sys.argv[1]), sys.argv[2]


class Service(http.server.BaseHTTPRequestHandler):
    def answer(self):
        if self.path.startswith("/.well-known/"):
            self.send(200, "application/json", open(keys, "rb").read())
        elif self.path.endswith("/problem"):
            self.send(409, "application/problem+json", b'{"title":"the service\'s own"}')
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send(200, "application/json", json.dumps(headers).encode())

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", port), Service).serve_forever()
