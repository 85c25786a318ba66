#!/bin/sh
# Makes the database on first start, then becomes the server. POSTGRES_USER, POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) and
# POSTGRES_DB as in the usual images.
set -eu
user=${POSTGRES_USER:-postgres}
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # An interrupted first start leaves half a database: begin again.
  rm -rf "${PGDATA:?}"/* 2>/dev/null || true
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/.pw
    initdb -D "$PGDATA" -U "$user" --pwfile=/tmp/.pw --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --locale=C.UTF-8 >/dev/null
    rm -f /tmp/.pw
  else
    initdb -D "$PGDATA" -U "$user" -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
  fi
  method=$([ -n "${POSTGRES_PASSWORD:-}" ] && echo scram-sha-256 || echo trust)
  printf 'host all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    printf 'CREATE DATABASE "%s";\n' "${POSTGRES_DB:-$user}" | postgres --single -D "$PGDATA" -c jit=off postgres >/dev/null
  fi
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c jit=off -c unix_socket_directories=/tmp
