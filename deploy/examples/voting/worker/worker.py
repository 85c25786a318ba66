"""Takes votes from Redis and keeps the latest of each voter in PostgreSQL. A vote leaves the queue only once it is stored."""
import json
import os
import signal
import sys
import time

import psycopg2
import redis

QUEUE, TAKEN = "votes", "votes:taken"


def password():
    path = os.environ.get("DB_PASSWORD_FILE")
    return open(path).read().strip() if path else os.environ.get("DB_PASSWORD", "")


def connect_database():
    database = psycopg2.connect(
        host=os.environ.get("DB_HOST", "db"), user=os.environ.get("DB_USER", "postgres"), password=password(),
        dbname=os.environ.get("DB_NAME", "votes"), connect_timeout=3, application_name="worker",
        keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=10000,
    )
    database.autocommit = True
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS votes (id TEXT PRIMARY KEY, vote TEXT NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now())")
    return database


def connect_queue():
    queue = redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), socket_connect_timeout=3, socket_timeout=10, health_check_interval=5)
    queue.ping()
    # What an earlier worker took and could not store goes first.
    while queue.lmove(TAKEN, QUEUE, "RIGHT", "LEFT"):
        pass
    return queue


def store(database, vote):
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO votes (id, vote) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET vote = EXCLUDED.vote, at = now()",
            (vote["voter_id"], vote["vote"]),
        )


def work():
    database, queue = connect_database(), connect_queue()
    print("worker: connected to redis and db", flush=True)
    while True:
        item = queue.blmove(QUEUE, TAKEN, 2, "LEFT", "RIGHT")
        if item is None:
            continue
        try:
            vote = json.loads(item)
            store(database, vote)
            print(f"worker: stored {vote['vote']} of {vote['voter_id']}", flush=True)
        except (ValueError, KeyError) as error:
            print(f"worker: dropped {item!r}: {error}", flush=True)
        queue.lrem(TAKEN, 1, item)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait = 0.2
    while True:
        try:
            work()
        except (psycopg2.Error, redis.RedisError, OSError) as error:
            print(f"worker: {str(error).strip()}; trying again in {wait:.1f} s", flush=True)
            time.sleep(wait)
            wait = min(wait * 2, 2)


if __name__ == "__main__":
    main()
