"""The count, live: the page listens to server-sent events, the server asks PostgreSQL once for all listeners."""
import html
import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

OPTIONS = {"a": os.environ.get("OPTION_A", "Cats"), "b": os.environ.get("OPTION_B", "Dogs")}
PORT = int(os.environ.get("PORT", "80"))
HOST = socket.gethostname()

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{a} or {b}: the result</title>
<style>
  :root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
  body {{ margin: 0; min-height: 100vh; display: grid; place-content: center; gap: 1.5rem; text-align: center; }}
  .bar {{ display: flex; width: min(44rem, 90vw); height: 6rem; border-radius: 1rem; overflow: hidden; color: #fff; font-size: 1.6rem; }}
  .bar div {{ display: grid; place-content: center; transition: flex-grow .4s; flex: 1 1 0; min-width: 5rem; }}
  #a {{ background: #1a7f5a; }} #b {{ background: #3b5bdb; }}
  p {{ margin: 0; opacity: .7; }}
</style></head>
<body><h1>{a} or {b}?</h1>
<div class="bar"><div id="a">–</div><div id="b">–</div></div>
<p id="total">waiting for the count…</p><p>served by {host}</p>
<script>
  const show = ({{ a, b }}) => {{
    const total = a + b;
    for (const [id, n] of [['a', a], ['b', b]]) {{
      const bar = document.getElementById(id);
      bar.style.flexGrow = total ? Math.max(n, total / 50) : 1;
      bar.textContent = total ? Math.round(100 * n / total) + ' %' : '–';
    }}
    document.getElementById('total').textContent = total === 1 ? '1 vote' : total + ' votes';
  }};
  const source = new EventSource('events');
  source.onmessage = (event) => show(JSON.parse(event.data));
  source.onerror = () => {{ document.getElementById('total').textContent = 'connecting…'; }};
</script></body></html>
"""


def password():
    path = os.environ.get("DB_PASSWORD_FILE")
    return open(path).read().strip() if path else os.environ.get("DB_PASSWORD", "")


class Count:
    """The latest count, refreshed by one thread; listeners wait for it to change."""

    def __init__(self):
        self.changed = threading.Condition()
        self.value = None

    def run(self):
        database = None
        while True:
            try:
                if database is None:
                    database = psycopg2.connect(
                        host=os.environ.get("DB_HOST", "db"), user=os.environ.get("DB_USER", "postgres"), password=password(),
                        dbname=os.environ.get("DB_NAME", "votes"), connect_timeout=3, application_name="result",
                        keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=10000,
                    )
                    database.autocommit = True
                self.set(self.read(database))
            except psycopg2.Error as error:
                print(f"result: {str(error).strip()}", flush=True)
                database = None
            time.sleep(0.25)

    @staticmethod
    def read(database):
        with database.cursor() as cursor:
            cursor.execute("SELECT to_regclass('votes') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return {"a": 0, "b": 0}
            cursor.execute("SELECT vote, count(*) FROM votes GROUP BY vote")
            found = dict(cursor.fetchall())
        return {"a": found.get("a", 0), "b": found.get("b", 0)}

    def set(self, value):
        with self.changed:
            if value != self.value:
                self.value = value
                self.changed.notify_all()


COUNT = Count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "result"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/":
            self.answer(200, PAGE.format(a=html.escape(OPTIONS["a"]), b=html.escape(OPTIONS["b"]), host=html.escape(HOST)), "text/html; charset=utf-8")
        elif self.path == "/healthz":
            self.answer(200, "ok\n", "text/plain")
        elif self.path == "/votes.json":
            value = COUNT.value
            self.answer(200 if value else 503, json.dumps(value or {"error": "no answer from the database yet"}), "application/json")
        elif self.path == "/events":
            self.events()
        else:
            self.answer(404, "not found\n", "text/plain")

    def events(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-store")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        last = None
        while True:
            with COUNT.changed:
                COUNT.changed.wait_for(lambda: COUNT.value not in (None, last), timeout=15)
                value = COUNT.value
            try:
                self.wfile.write(b": still here\n\n" if value in (None, last) else f"data: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()
            except OSError:
                return
            last = value

    def answer(self, status, body, kind):
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code="-", size="-"):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


def main():
    server = Server(("", PORT), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    threading.Thread(target=COUNT.run, daemon=True).start()
    print(f"result: on port {PORT}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
