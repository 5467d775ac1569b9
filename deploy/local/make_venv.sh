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
if [ -z "$python" ] && [ -n "$lacking" ]; then
    say "photogram: $lacking has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv)"
    exit 1
elif [ -z "$python" ]; then
    say "photogram: Python 3.11 or newer is needed (looked for: ${PYTHON:-python3.13 python3.12 python3.11 python3})"
    exit 1
fi

if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
    say "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv
fi

say "Installing the locked packages (the servers among them) ..."
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
export UV_INDEX_STRATEGY=unsafe-best-match UV_SYSTEM_CERTS=true UV_HTTP_TIMEOUT=30 UV_NO_PROGRESS=1
export VIRTUAL_ENV="$PWD/.venv"
quiet="--quiet --disable-pip-version-check"
if .venv/bin/python -m pip install $quiet --no-compile --no-deps --require-hashes -r "$only_uv" &&
    .venv/bin/uv pip install --quiet --compile-bytecode --no-deps --require-hashes -r "$lock" 2>.venv/uv.log; then
    :
else
    say "uv could not do it (see .venv/uv.log); pip takes over, which takes about a minute ..."
    .venv/bin/python -m pip install $quiet --no-deps --require-hashes -r "$lock"
fi
.venv/bin/python -m pip install $quiet --no-deps --no-build-isolation --no-index -e .
