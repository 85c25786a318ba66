#!/usr/bin/env bash
# From a fresh Debian with Node and npm to a running cluster: npm start, npm stop, npm test.
# Says each thing before doing it, does nothing twice, and ends with one clear line when it cannot go on.
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$root"

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# A program, and the Debian package that brings it. Looked for by program: docker.io's and Docker's own containerd serve as well.
runtime_programs='containerd:containerd crun:crun runc:runc etcd:etcd-server ip:iproute2 nft:nftables ps:procps nsenter:util-linux tini:tini busybox:busybox-static'

# What only tests need: a registry to pull from, a look into etcd.
test_programs='docker-registry:docker-registry etcdctl:etcd-client'

# What regenerating the committed files needs.
ci_programs='protoc:protobuf-compiler clang:clang'

check_machine() {
  [ "$(uname -s)" = Linux ] || die "tsorch runs on Linux; this is $(uname -s)"
  [ "$(id -u)" = 0 ] || die "not root: namespaces and containers need it; run sudo npm $1"
  local id='' version='' like=''
  if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && echo "${ID:-}")
    version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    like=$(. /etc/os-release && echo "${PRETTY_NAME:-}")
  fi
  # Testing and unstable have no version number.
  if [ "$id" != debian ] || { [ -n "$version" ] && [ "${version%%.*}" -lt 12 ]; }; then
    [ -n "${TSORCH_ANY_OS:-}" ] || die "this needs Debian 12 or later, and this is ${like:-not Debian}; TSORCH_ANY_OS=1 tries anyway"
  fi
  command -v node >/dev/null || die 'there is no node; install Node 20 or later with npm'
  command -v npm >/dev/null || die 'there is no npm; install it beside node'
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || die "node is $(node --version); 20 or later is needed"
}

have() {
  command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -qq "$@"
}

# The lists of packages, once: images are built from Debian packages too.
update_lists() {
  [ "${lists_are_new:-}" = 1 ] && return
  say 'reading package lists'
  apt update >/dev/null || die 'cannot read Debian package lists: no network, or /etc/apt/sources.list names no mirror that answers'
  lists_are_new=1
}

# Debian starts services on installation; here each host starts its own.
install_packages() {
  local policy=/usr/sbin/policy-rc.d made='' failed=''
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    made=1
  fi
  apt install -y --no-install-recommends "$@" >/dev/null || failed=1
  [ -z "$made" ] || rm -f $policy
  [ -z "$failed" ] || die "cannot install $*: see what apt-get says above"
  # etcd's own service would come up at the next boot.
  case " $* " in *' etcd-server '*) [ ! -d /run/systemd/system ] || systemctl disable -q etcd 2>/dev/null || true ;; esac
}

ensure_programs() {
  local missing='' pair
  for pair in $1; do
    have "${pair%%:*}" || missing="$missing ${pair#*:}"
  done
  [ -n "$missing" ] || return 0
  update_lists
  say "installing$missing"
  # shellcheck disable=SC2086
  install_packages $missing
}

ensure_node_modules() {
  local stamp=node_modules/.tsorch-lock want
  want=$(sha256sum package-lock.json | cut -d' ' -f1)
  if [ "$(cat $stamp 2>/dev/null)" != "$want" ] || ! node_modules/.bin/node --version >/dev/null 2>&1; then
    say 'installing npm packages'
    npm ci --no-audit --no-fund --loglevel=error || die 'npm ci failed: no network, or no npm registry that answers (npm config get registry)'
    # npm versions that hold back install scripts leave this one undone; it fetches the pinned Node.
    if ! node_modules/.bin/node --version >/dev/null 2>&1; then
      (cd node_modules/node && node installArchSpecificPackage.js) >/dev/null || die 'cannot install the pinned Node (npm package node)'
    fi
    node_modules/.bin/node --version >/dev/null 2>&1 || die 'the pinned Node (npm package node) does not run on this machine'
    echo "$want" >$stamp
  fi
}

ensure_lists_for_images() {
  # A fresh container has none.
  compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || update_lists
}

check_machine "${1:-start}"
case "${1:-}" in
  start)
    ensure_programs "$runtime_programs"
    ensure_node_modules
    ensure_lists_for_images
    exec node_modules/.bin/node --disable-warning=ExperimentalWarning deploy/start.ts
    ;;
  stop)
    ensure_node_modules
    exec bin/tsorch down
    ;;
  test)
    ensure_programs "$runtime_programs $test_programs"
    ensure_node_modules
    ensure_lists_for_images
    exec node_modules/.bin/node --disable-warning=ExperimentalWarning deploy/test.ts "${@:2}"
    ;;
  prepare-ci)
    ensure_programs "$runtime_programs $test_programs $ci_programs"
    [ -e /usr/include/bpf/bpf_helpers.h ] || ensure_programs 'bpf_helpers.h:libbpf-dev'
    ensure_node_modules
    ;;
  *)
    die 'usage: bash deploy/bootstrap.sh start|stop|test'
    ;;
esac
