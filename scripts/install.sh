#!/bin/sh
# Installs deephypebot with its extras into a virtual environment, as the Makefile, the README and Dockerfile.gpu do.
#
#     scripts/install.sh [-e] VENV EXTRAS        e.g.  scripts/install.sh .venv train,serve
#
# -e      installs the checkout itself, so that an edit takes effect at once (for development)
# VENV    folder of the virtual environment; made if it is not there
# EXTRAS  what to install beside the command, separated by commas: train, serve, compiled, bot, experiments, loadtest, ray, dev
#
# PYTHON names the interpreter that a new environment is made with (python3 otherwise; 3.11 or newer).
# pip obeys its own settings (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf, ...); what it installs is what constraints.txt pins.
# HASHES names files with the SHA-256 of all that may be installed, separated by spaces: HASHES=hashes.txt. Any other file is
# then refused. A build of torch that is in no index needs its own line, in a file that is named after it.
set -eu

usage() {
    echo "usage: $0 [-e] VENV EXTRAS" >&2
    exit 2
}

editable=
if [ "${1:-}" = -e ]; then
    editable=-e
    shift
fi
[ $# -eq 2 ] || usage
venv=$1
extras=$2
case $extras in
    '' | *[!a-z,]*)
        echo "error: EXTRAS must be names separated by commas, such as train,serve; got '$extras'" >&2
        exit 2
        ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

if [ ! -x "$venv/bin/python" ]; then
    command -v "$python" >/dev/null || {
        echo "error: no '$python' here; install Python 3.11 or newer, or name one: PYTHON=... $0 ..." >&2
        exit 1
    }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: $("$python" --version) is too old; name Python 3.11 or newer: PYTHON=python3.11 $0 ..." >&2
        exit 1
    }
    "$python" -m venv "$venv" || {
        # what is half made would be taken for whole the next time
        rm -rf "$venv"
        echo "error: '$python' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
fi

install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile "$@"
}

if [ -z "${HASHES:-}" ]; then
    # shellcheck disable=SC2086  # without -e there is no such word
    install -c "$root/constraints.txt" $editable "$root[$extras]"
else
    # pip checks hashes of all packages or of none, and a checkout has none: what it needs comes first, then itself alone.
    # What builds the checkout comes before all: to learn what it needs, pip already runs that.
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    # shellcheck disable=SC2086  # a list of files
    "$venv/bin/python" "$root/scripts/hashed.py" - $HASHES >"$temporary/building.txt"
    install --quiet --no-deps --only-binary :all: --require-hashes -r "$temporary/building.txt" --target "$temporary/building"
    PYTHONPATH=$temporary/building install --quiet --dry-run --ignore-installed --report "$temporary/report.json" \
        --no-build-isolation --only-binary :all: -c "$root/constraints.txt" "$root[$extras]"
    # shellcheck disable=SC2086
    "$venv/bin/python" "$root/scripts/hashed.py" "$temporary/report.json" $HASHES >"$temporary/wanted.txt"
    install --no-deps --only-binary :all: --require-hashes -r "$temporary/wanted.txt"
    # shellcheck disable=SC2086
    PYTHONPATH=$temporary/building install --no-deps --no-build-isolation $editable "$root"
fi
# pip would compile one file after the other, a minute of one core. Files that are no Python of this version are left out, as
# pip leaves them.
"$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" >/dev/null || true
