#!/bin/sh
# Makes an environment with what PostgreSQL and an object store need, for `make stores`:
#
#     sh scripts/stores_environment.sh FOLDER PYTHON
#
# It sees the packages of PYTHON's environment, so only the additions are installed; again when their releases change.
set -eu
[ $# -eq 2 ] || { echo "usage: sh scripts/stores_environment.sh FOLDER PYTHON" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$(cat "$root/mlflow/stores.txt" "$root/tests/stores/requirements.txt")
[ "$(cat "$1/installed" 2>/dev/null)" = "$wanted" ] && exit 0
"$2" -m venv --clear "$1"
purelib='import sysconfig; print(sysconfig.get_paths()["purelib"])'
printf 'import site; site.addsitedir("%s")\n' "$("$2" -c "$purelib")" > "$("$1/bin/python" -c "$purelib")/project.pth"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" \
    -r "$root/mlflow/stores.txt" -r "$root/tests/stores/requirements.txt"
printf '%s\n' "$wanted" >"$1/installed"
