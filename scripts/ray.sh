#!/bin/sh
# Makes the environment of `make ray`: the packages of VENV, and Ray with what only Ray needs.
#
#     scripts/ray.sh VENV FOLDER
#
# An environment of its own, since Ray (280 MB) is an extra that no other test needs.
set -eu

[ $# -eq 2 ] || {
    echo "usage: $0 VENV FOLDER" >&2
    exit 2
}
venv=$1
folder=$2
requirements=$(dirname "$0")/../tests/ray/requirements.txt
if cmp -s "$requirements" "$folder/installed.txt"; then
    exit 0
fi
rm -rf "$folder"
"$venv/bin/python" -m venv "$folder"
packages='import sysconfig; print(sysconfig.get_paths()["purelib"])'
# Also those that .pth files name, such as the checkout itself.
echo "import site; site.addsitedir('$("$venv/bin/python" -c "$packages")')" >"$("$folder/bin/python" -c "$packages")/project.pth"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
cp "$requirements" "$folder/installed.txt"
