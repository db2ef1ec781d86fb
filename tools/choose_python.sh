#!/bin/sh
# Prints the command that makes the environment, and on standard error what it chose.
#
#   tools/choose_python.sh [1.16 | 1.21]    the version of TFX; without: the newest here
#
# TFX 1.16 is for Python 3.10. TFX 1.21 is for 3.11 to 3.13, and its wheels need glibc
# 2.39. Only a Python that runs counts: pyenv has shims for versions that are not there.
# Where none does, uv fetches one. Needs no Python itself.
set -eu
wanted=${1:-}

runs() {
  "python$1" -c "
import ensurepip, sys, venv
sys.exit('%d.%d' % sys.version_info[:2] != '$1')" >/dev/null 2>&1
}

fail() {
  echo "error: $1" >&2
  exit 1
}

glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/[^0-9.]//g')
glibc=${glibc:-0.0}
newer=false
if [ "$(printf '2.39\n%s\n' "$glibc" | sort -V | head -n 1)" = 2.39 ]; then
  newer=true
fi

case $wanted,$newer in
  1.16,* | ,false) versions=3.10 ;;
  1.21,true) versions="3.13 3.12 3.11" ;;
  ,true) versions="3.13 3.12 3.11 3.10" ;;
  1.21,false)
    fail "TFX must be 1.16 with glibc $glibc, got 1.21, whose wheels need glibc 2.39."
    ;;
  *) fail "TFX must be 1.16 or 1.21, got '$wanted'." ;;
esac

for version in $versions; do
  if runs "$version"; then
    command="python$version -m venv"
    break
  fi
done
if [ -z "${command:-}" ]; then
  version=${versions%% *}
  command="uv venv --quiet --seed --python $version"
  command -v uv >/dev/null || fail \
    "no Python of $versions runs here (with its module venv). Install one, or uv, which fetches it."
fi
tfx=1.21
if [ "$version" = 3.10 ]; then
  tfx=1.16
fi
echo "TFX $tfx with Python $version (glibc $glibc${wanted:+, TFX=$wanted})" >&2
echo "$command"
