#!/usr/bin/env bash
# Runs commands on the newest Debian, with a copy of this checkout as their folder:
#
#   tools/test_next.sh make test-fast
#
# Debian 13 is a folder, made by debootstrap on first use and kept, with what was
# installed in it: $NEXT_ROOT, else ~/.cache/tfx-resampling/debian-13 (5 GB). Package
# indexes, their certificates and proxies are those of this machine. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${NEXT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/tfx-resampling/debian-13}

fail() {
  echo "error: $1" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail 'a Debian 13 beside this system needs root: sudo make test-next'
for program in debootstrap unshare chroot; do
  command -v "$program" >/dev/null || fail "$program not found: apt-get install $program"
done

# Held by what follows, to its end.
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock --nonblock 9 || fail "another run uses $root"

if [ ! -e "$root/made" ]; then
  echo "Debian 13 in $root" >&2
  rm -rf "$root"
  mkdir -p "$root"
  # The mirror of this machine, where it is a Debian; else debootstrap's own.
  mirror=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
    'Component: main' --format '$(REPO_URI)' 2>/dev/null | head -n 1 || true)
  # pyfarmhash has no wheels; tests need git, and chromium for the report.
  debootstrap --variant=minbase \
    --include=ca-certificates,g++,git,make,python3-dev,python3-venv \
    trixie "$root" ${mirror:+"$mirror"} >"$root.log" \
    || fail "debootstrap failed: $root.log"
  touch "$root/made"
fi

for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/uv /etc/ssl/certs; do
  if [ -e "$path" ]; then
    rm -rf "$root$path"
    cp --recursive --dereference "$path" "$root$path"
  fi
done

# What git has of the checkout, changes that are not committed among it.
mkdir -p "$root/checkout"
find "$root/checkout" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard \
  | tar --create --null --files-from - --ignore-failed-read 2>/dev/null \
  | tar --extract --no-same-owner --directory "$root/checkout"

find "$root/tmp" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
# The mounts end with the commands.
export NEXT_ROOT=$root
exec unshare --mount --pid --fork --kill-child -- bash -euc '
  mount --rbind /dev "$NEXT_ROOT/dev"
  mount -t proc proc "$NEXT_ROOT/proc"
  exec chroot "$NEXT_ROOT" env HOME=/root \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    bash -euc "cd /checkout; exec \"\$@\"" bash "$@"
' bash "$@"
