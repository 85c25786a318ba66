"""The voting form. One vote per browser, kept in a cookie; votes go to Redis, from where the worker takes them."""
import html
import json
import os
import secrets
import signal
import socket
import threading
import urllib.parse
from http import cookies
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

OPTIONS = {"a": os.environ.get("OPTION_A", "Cats"), "b": os.environ.get("OPTION_B", "Dogs")}
PORT = int(os.environ.get("PORT", "80"))
HOST = socket.gethostname()

# A restarted Redis is found again by name: nothing here outlives a failed call.
QUEUE = redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), socket_timeout=2, socket_connect_timeout=2, retry_on_timeout=True)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{a} or {b}?</title>
<style>
  :root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
  body {{ margin: 0; min-height: 100vh; display: grid; place-content: center; gap: 1.5rem; text-align: center; }}
  form {{ display: flex; gap: 1rem; justify-content: center; flex-wrap: wrap; }}
  button {{ font: inherit; font-size: 1.6rem; padding: 1.5rem 2.5rem; border: 2px solid; border-radius: 1rem; background: none; cursor: pointer; min-width: 12rem; }}
  button.a {{ color: #1a7f5a; }} button.b {{ color: #3b5bdb; }}
  button.chosen {{ color: #fff; }} button.a.chosen {{ background: #1a7f5a; }} button.b.chosen {{ background: #3b5bdb; }}
  p {{ margin: 0; opacity: .7; }}
</style></head>
<body><h1>{a} or {b}?</h1>
<form method="post"><button name="vote" value="a" class="a{ca}">{a}</button><button name="vote" value="b" class="b{cb}">{b}</button></form>
<p>{message}</p><p>served by {host}</p></body></html>
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "vote"
    # The head and the body of an answer leave in one segment each; do not wait for acknowledgements in between.
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, "ok\n", "text/plain")
        if self.path != "/":
            return self.answer(404, "not found\n", "text/plain")
        return self.page(None, "You can change your mind.")

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > 1000:
            return self.answer(413, "too large\n", "text/plain")
        form = urllib.parse.parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        vote = form.get("vote", [""])[0]
        if vote not in OPTIONS:
            return self.answer(400, "vote must be a or b\n", "text/plain")
        try:
            QUEUE.rpush("votes", json.dumps({"voter_id": self.voter(), "vote": vote}))
        except redis.RedisError as error:
            return self.page(None, f"Your vote could not be taken now ({error}). Try again.", 503)
        return self.page(vote, f"Thank you: {OPTIONS[vote]} it is.")

    def voter(self):
        if not hasattr(self, "voter_id"):
            jar = cookies.SimpleCookie(self.headers.get("cookie", ""))
            self.voter_id = jar["voter_id"].value[:64] if "voter_id" in jar else secrets.token_hex(8)
        return self.voter_id

    def page(self, chosen, message, status=200):
        body = PAGE.format(
            a=html.escape(OPTIONS["a"]), b=html.escape(OPTIONS["b"]), message=html.escape(message), host=html.escape(HOST),
            ca=" chosen" if chosen == "a" else "", cb=" chosen" if chosen == "b" else "",
        )
        self.answer(status, body, "text/html; charset=utf-8", {"set-cookie": f"voter_id={self.voter()}; Path=/; HttpOnly; SameSite=Lax"})

    def answer(self, status, body, kind, headers=None):
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-served-by", HOST)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_one_request(self):
        self.__dict__.pop("voter_id", None)
        super().handle_one_request()

    def log_request(self, code="-", size="-"):
        if self.path != "/healthz" and self.command == "POST":
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def main():
    server = Server(("", PORT), Handler)
    # Stopping: take no new connection, let the requests under way finish.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"vote: {OPTIONS['a']} or {OPTIONS['b']} on port {PORT}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
