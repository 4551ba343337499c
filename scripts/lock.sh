#!/bin/sh
# Writes to standard output the SHA-256 of every file of every package that constraints.txt pins, for all platforms.
#
#     sh scripts/lock.sh > hashes.txt
#
# uv, in an environment of its own that is removed, resolves the extras, what builds this project, and what torch's builds
# for a GPU bring. HASHES=hashes.txt scripts/install.sh ... installs nothing else.
set -eu

[ $# -eq 0 ] || {
    echo "usage: $0" >&2
    exit 2
}
root=$(cd "$(dirname "$0")/.." && pwd)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
"${PYTHON:-python3}" -m venv "$temporary/venv"
"$temporary/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
printf 'hatchling\neditables\n' >"$temporary/build.in"

echo "# What scripts/lock.sh wrote: the SHA-256 of every file of every package of constraints.txt and of what they bring."
"$temporary/venv/bin/uv" pip compile "$root/pyproject.toml" "$temporary/build.in" --all-extras -c "$root/constraints.txt" \
    --universal --python-version 3.11.2 --generate-hashes --no-annotate --no-header --quiet --no-config
