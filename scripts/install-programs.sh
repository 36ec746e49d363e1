#!/usr/bin/env bash
# Installs Debian packages whose programs are missing here. Usage: scripts/install-programs.sh PACKAGE...
# Does nothing when all programs are there; says what to do where it can't install them.
set -euo pipefail

program_of() { case $1 in bubblewrap) echo bwrap ;; docker.io) echo dockerd ;; *) echo "$1" ;; esac; }
lacking() { for package in "$@"; do command -v "$(program_of "$package")" >/dev/null || echo "$package"; done; }
fail() { printf '[install] %s\n' "$*" >&2; exit 1; }

export PATH=$PATH:/usr/sbin:/sbin
missing=$(lacking "$@" | xargs)
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || fail "missing: $missing. Not root, so install it first: sudo apt-get install $missing"
command -v apt-get >/dev/null || fail "missing: $missing. There is no apt-get here; install it in this system's way."
echo "[install] $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A package that starts a service may fail to in a container. What counts is whether the programs are there.
{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing; } \
  >"$log" 2>&1 || true
missing=$(lacking "$@" | xargs)
[ -z "$missing" ] || { tail -20 "$log" >&2; fail "apt-get could not install $missing; its last words are above"; }
