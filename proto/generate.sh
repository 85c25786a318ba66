#!/usr/bin/env bash
# Generates proto/gen from our .proto files. `--check` fails when what is committed differs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=proto/gen
if [ "${1:-}" = --check ]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
command -v protoc >/dev/null || { echo "protoc is missing: apt-get install protobuf-compiler" >&2; exit 1; }
mkdir -p "$out"
PATH="$PWD/node_modules/.bin:$PATH" protoc --plugin=node_modules/.bin/protoc-gen-ts_proto --ts_proto_out="$out" \
  --ts_proto_opt=outputServices=grpc-js,esModuleInterop=true,importSuffix=.ts,unrecognizedEnum=false,enumsAsLiterals=true,env=node,forceLong=number,oneof=unions-value,outputJsonMethods=false,useExactTypes=false,useOptionals=none,annotateFilesWithVersion=false \
  -I proto $(cd proto && find tsorch containerd grpc -name '*.proto' | sort)
if [ "${1:-}" = --check ]; then diff -r "$out" proto/gen && echo "proto/gen is up to date"; fi
