#!/bin/sh
# Writes to standard output the constraints that VENV was installed with; see the header that it writes.
#
#     scripts/freeze.sh VENV
set -eu

[ $# -eq 1 ] && [ -x "$1/bin/python" ] || {
    echo "usage: $0 VENV" >&2
    exit 2
}

cat <<'HEADER'
# What the tests ran on: every package that the extras bring, pip aside. scripts/install.sh installs nothing else.
# To move to newer releases, install without these pins into a fresh environment, test, and write them anew:
#
#     python3 -m venv fresh && fresh/bin/pip install -e '.[dev]'
#     fresh/bin/python -m pytest
#     sh scripts/freeze.sh fresh > constraints.txt
#
# Builds of torch for one kind of machine (2.13.0+cpu) satisfy the pin of the release, so the suffix is left out.
HEADER
"$1/bin/python" -m pip freeze --disable-pip-version-check --all --exclude pip --exclude-editable |
    sed -e '/^deephypebot[ =@]/d' -e '/^#/d' -e '/^-e /d' -e 's/+[a-z0-9.]*$//' |
    LC_ALL=C sort -f
