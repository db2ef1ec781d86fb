#!/usr/bin/env bash
# Runs commands on the newest Debian, with a copy of this checkout as their folder:
#
#   tools/test_next.sh make test-fast
#   tools/test_next.sh --check          says why this machine cannot, and fails then
#
# Debian 13 is a folder, made by debootstrap on first use and kept, with what was
# installed in it: $NEXT_ROOT, else ~/.cache/tfx-resampling/debian-13 (5 GB). Package
# indexes, their certificates and proxies are those of this machine. Needs root.
# Installs nothing here: debootstrap is unpacked beside that folder, if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${NEXT_ROOT:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tfx-resampling/debian-13}
gigabytes=6

fail() {
  echo "error: $1" >&2
  exit 1
}

# The mirror of this machine, where it is a Debian; else nothing: debootstrap knows one.
mirror() {
  found=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
    'Component: main' --format '$(REPO_URI)' 2>/dev/null | head -n 1 || true)
  echo "${found%/}"
}

# Prints the program debootstrap; unpacks it first, by lists of packages of its own, if
# this machine does not have it.
find_debootstrap() {
  own=$root.debootstrap
  if command -v debootstrap || ls "$own/usr/sbin/debootstrap" 2>/dev/null; then
    return
  fi
  command -v apt-get dpkg-deb >"$root.log" || return
  rm -rf "$own"
  mkdir -p "$own/lists/partial" "$own/archives/partial"
  (
    cd "$own"
    options=(--quiet=2 -o "Dir::State::Lists=$own/lists" -o "Dir::Cache=$own"
      -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update \
      && apt-get "${options[@]}" download debootstrap \
      && dpkg-deb --extract debootstrap_*.deb .
  ) >"$root.log" 2>&1 && ls "$own/usr/sbin/debootstrap"
}

# Prints what is missing for a Debian 13 beside this system, if anything is.
missing() {
  [ "$(id -u)" = 0 ] || { echo 'root is needed for a Debian 13 beside this system'; return; }
  for program in unshare chroot; do
    command -v "$program" >/dev/null || { echo "no program $program"; return; }
  done
  unshare --mount --pid --fork mount -t proc proc /proc 2>/dev/null \
    || { echo 'this system lets root make no namespaces and mounts'; return; }
  [ ! -e "$root/made" ] || return 0
  command -v wget >/dev/null || { echo 'no program wget'; return; }
  mkdir -p "$root.probe"
  mknod "$root.probe/null" c 1 3 2>/dev/null && : 2>/dev/null >"$root.probe/null" \
    || { rm -rf "$root.probe"; echo "no device files can be made in $(dirname "$root")"; return; }
  rm -rf "$root.probe"
  [ "$(df --output=avail --block-size=1G "$(dirname "$root")" | tail -n 1)" -ge $gigabytes ] \
    || { echo "less than $gigabytes GB in $(dirname "$root")"; return; }
  from=$(mirror)
  [ -z "$from" ] || wget --quiet --tries=2 --timeout=20 --output-document=/dev/null \
    "$from/dists/trixie/InRelease" || { echo "no answer from $from"; return; }
  find_debootstrap >/dev/null || echo "debootstrap cannot be downloaded: $root.log"
}

reason=$(missing)
if [ "${1:-}" = --check ]; then
  [ -z "$reason" ] && exit
  echo "$reason"
  exit 1
fi
[ -z "$reason" ] || fail "$reason"

# Held by what follows, to its end.
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock --nonblock 9 || { echo "another run uses $root; waiting for it" >&2; flock 9; }

if [ ! -e "$root/made" ]; then
  echo "Debian 13 in $root" >&2
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap=$(find_debootstrap) || fail "debootstrap cannot be downloaded: $root.log"
  # pyfarmhash has no wheels; tests need git, and chromium for the report.
  DEBOOTSTRAP_DIR=${debootstrap%/sbin/debootstrap}/share/debootstrap \
    "$debootstrap" --variant=minbase \
    --include=ca-certificates,g++,git,make,python3-dev,python3-venv \
    trixie "$root" $(mirror) >"$root.log" 2>&1 || fail "debootstrap failed: $root.log"
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
