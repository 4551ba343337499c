#!/bin/sh
# Looks for known vulnerabilities in constraints.txt and writes build/sbom.cdx.json, a software bill of materials.
#
#     scripts/audit.sh BIN
#
# BIN is the folder of the environment's programs. audit-exceptions.txt lists what is accepted, until when and why; one
# that has expired is an error. Where no vulnerability database can be reached, the script says so and ends with 0, unless
# AUDIT_REQUIRED=1 is set.
set -eu

bin=$1
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$root/build"
"$bin/cyclonedx-py" environment --pyproject "$root/pyproject.toml" --output-reproducible --of JSON \
    -o "$root/build/sbom.cdx.json" "$bin/python"
echo "software bill of materials: build/sbom.cdx.json"

ignored=$("$bin/python" "$root/scripts/audit_exceptions.py" "$root/audit-exceptions.txt")
report=$(mktemp)
log=$(mktemp)
trap 'rm -f "$report" "$log"' EXIT
status=0
# shellcheck disable=SC2086  # a list of options
"$bin/pip-audit" -r "$root/constraints.txt" --no-deps --disable-pip --progress-spinner off --format json \
    --output "$report" $ignored 2>"$log" || status=$?
audited=$("$bin/python" - "$report" <<'PROGRAM'
import json, sys
try:
    packages = json.load(open(sys.argv[1], encoding="utf-8"))["dependencies"]
except ValueError:
    packages = []
for each in packages:
    for found in each.get("vulns", []):
        print(f"{each['name']} {each['version']}: {found['id']}, fixed in {found['fix_versions'] or 'no release'}", file=sys.stderr)
print(sum("vulns" in each for each in packages))
PROGRAM
)
if [ "$audited" -eq 0 ]; then
    echo "audit: no vulnerability database can be reached from here; nothing was audited" >&2
    [ "${AUDIT_REQUIRED:-0}" != 1 ]
    exit
fi
echo "audit: $audited packages were looked up"
[ "$status" -eq 0 ] || tail -5 "$log" >&2
exit "$status"
