#!/bin/sh
# Takes the bill of materials (CycloneDX) out of an image that Dockerfile.gpu or deploy/Dockerfile.bot built.
#
#     scripts/image_sbom.sh IMAGE > sbom.cdx.json
#
# It lists the Python packages; those of Debian are in the image's own /var/lib/dpkg/status, which scanners read. To
# attach it to an image in a registry: cosign attest --type cyclonedx --predicate sbom.cdx.json IMAGE@sha256:...
# ENGINE names the program that runs images: docker, otherwise podman.
set -eu

[ $# -eq 1 ] || {
    echo "usage: $0 IMAGE" >&2
    exit 2
}
engine=${ENGINE:-}
for each in docker podman; do
    [ -n "$engine" ] || ! command -v "$each" >/dev/null || engine=$each
done
[ -n "$engine" ] || {
    echo "error: there is neither docker nor podman here; name a program that runs images: ENGINE=... $0 ..." >&2
    exit 1
}
exec "$engine" run --rm --network none --entrypoint sh "$1" -c 'exec cat /opt/*/sbom.cdx.json'
