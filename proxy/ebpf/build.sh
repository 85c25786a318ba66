#!/usr/bin/env bash
# Compiles lb.bpf.c into program.gen.ts, which is committed: hosts need no compiler. Needs clang and libbpf-dev.
#   build.sh          write program.gen.ts
#   build.sh --check  fail when program.gen.ts is not what the source gives
set -euo pipefail
cd "$(dirname "$0")"
node=../../node_modules/.bin/node
[ -x "$node" ] || node=node
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# v3: fetch-and-add with a result.
clang -O2 -Wall -Werror -target bpf -mcpu=v3 -I"/usr/include/$(uname -m)-linux-gnu" -c lb.bpf.c -o "$work/lb.o"
"$node" build.ts "$work/lb.o" lb.bpf.c >"$work/program.gen.ts"
if [ "${1:-}" = --check ]; then
  diff -u program.gen.ts "$work/program.gen.ts" || { echo "program.gen.ts is stale: run proxy/ebpf/build.sh (compiled here by $(clang --version | head -1))" >&2; exit 1; }
else
  cp "$work/program.gen.ts" program.gen.ts
fi
