#!/usr/bin/env bash
# Runs a command where sandboxes can be tested. Usage: scripts/with-docker.sh PYTHON COMMAND...
# Installs what is missing (Debian, root), starts a Docker daemon of its own when none answers and ends it afterwards,
# and builds the base image from the Debian mirror that this machine is set up with. PYTHON has agentgym and docker-py.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
say() { printf '[docker] %s\n' "$*"; }
fail() { printf '[docker] %s\n' "$*" >&2; exit 1; }

answers() { "$python" -c 'import docker; docker.from_env(timeout=5).ping()' >/dev/null 2>&1; }

start_daemon() {
  [ "$(id -u)" = 0 ] || fail "no Docker daemon answers, and only root can start one. Start it, or set DOCKER_HOST."
  mkdir -p "$work/daemon"
  for driver in "" --storage-driver=vfs; do
    dockerd --host "unix://$work/docker.sock" --data-root "$work/daemon/data" --exec-root "$work/daemon/run" \
      --pidfile "$work/daemon/pid" --bridge=none --iptables=false --ip6tables=false $driver >"$work/dockerd.log" 2>&1 &
    daemon=$!
    export DOCKER_HOST=unix://$work/docker.sock
    for _ in $(seq 120); do
      if answers; then say "started a daemon (process $daemon)"; return; fi
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.5
    done
    end_daemon
  done
  tail -20 "$work/dockerd.log" >&2
  fail "the Docker daemon does not start here; its last words are above"
}

end_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  daemon=
}

clean_up() {
  end_daemon
  # Nothing should be mounted any more; what is must not be deleted through.
  { grep -o " $work/[^ ]*" /proc/self/mounts || true; } | sort -r | while read -r mounted; do umount -l "$mounted"; done
  rm -rf "$work"
}

work=$(mktemp -d /tmp/agentgym-docker.XXXXXX)  # short: a socket's path has 107 characters at most
daemon=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export PATH=$PATH:/usr/sbin:/sbin
scripts/install-programs.sh bubblewrap
answers || scripts/install-programs.sh docker.io
answers || start_daemon
"$python" -m agentgym.sandboxes.images --there >/dev/null 2>&1 || scripts/install-programs.sh debootstrap
"$python" -m agentgym.sandboxes.images
export AGENTGYM_REQUIRE=bubblewrap,docker AGENTGYM_TEST_SANDBOXES=1
"$@"
