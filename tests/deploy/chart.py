"""Rendering of the Helm chart by Helm's own library, and a look at what comes out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

helm: Any = pytest.importorskip("helm_python", reason="helm-python-sdk has no wheel for this kind of machine")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "deephypebot"
Manifest = dict[str, Any]
Values = Mapping[str, Any]

SECURE: Values = {
    "gateway": {"tls": {"existingSecret": "gateway-tls"}, "clients": {"existingSecret": "gateway-clients"}},
}
"""The least that the gateway starts with."""
EVERYTHING: Values = {
    "listenAddress": "::",
    "imagePullSecrets": [{"name": "pull"}],
    "image": {"digest": f"sha256:{'0' * 64}"},
    "registry": {"existingSecret": "registry"},
    "gateway": {
        "tls": {"existingSecret": "gateway-tls", "clientSecret": "client-tls", "serverName": "gateway.example"},
        "clients": {"existingSecret": "gateway-clients"},
        "trustedKeys": {"existingConfigMap": "trusted-keys"},
        "models": ["lcgan", "cvae"],
        "extraArgs": ["--exposure-days=90"],
        "autoscaling": {"enabled": True},
        "runtimeClassName": "nvidia",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
    },
    "exposures": {"shared": True},
    "mlflow": {
        "database": {"existingSecret": "database"},
        "artifacts": "s3://models/artifacts",
        "existingSecret": "object-store",
        "allowedHosts": ["mlflow.example"],
    },
    "bot": {
        "enabled": True,
        "existingSecret": "networks",
        "filesSecret": "keys",
        "tokenSecret": "bot-token",
        "studio": {
            "existingSecret": "studio",
            "ingress": {"enabled": True, "host": "studio.example", "tlsSecret": "studio-tls"},
        },
        "watch": {"enabled": True},
    },
    "loadtest": {"enabled": True, "tokenSecret": "loadtest-token", "extraArgs": ["--shape=spike"]},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "tracing": {"endpoint": "http://collector.tracing:4318", "events": False},
    "networkPolicy": {
        "gatewayClients": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shops"}}}],
        "gatewayEgress": [{"ports": [{"port": 4318}]}],
    },
}
"""Every part and every secret."""


def file_values(name: str) -> Values:
    """Return the values of a file of the chart."""
    values: Values = yaml.safe_load((CHART / name).read_text(encoding="utf-8"))
    return values


CASES: Mapping[str, Values] = {
    "secure": SECURE,
    "everything": EVERYTHING,
    "gpu": {**SECURE, "gateway": {**SECURE["gateway"], **file_values("values-gpu.yaml")["gateway"]}},
    "gpus": {**SECURE, "gateway": {**SECURE["gateway"], **file_values("values-gpus.yaml")["gateway"]}},
    "trial": file_values("values-trial.yaml"),
}
"""Values by the name of what they are for."""


@cache
def _chart(path: Path) -> Any:
    return helm.Chart.load(path)


def render(values: Values, *, path: Path = CHART) -> list[Manifest]:
    """Render the chart as `helm template dhb --namespace music` does.

    Raises:
        HelmError: Helm refuses the values, or a template does.
    """
    files = _chart(path).render(dict(values), name="dhb", namespace="music")
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [copy.deepcopy(each) for text in texts for each in yaml.safe_load_all(text) if each]


def notes(values: Values) -> str:
    """Return what Helm says after an installation."""
    files = _chart(CHART).render(dict(values), name="dhb", namespace="music")
    (text,) = [text for name, text in files.items() if name.endswith("NOTES.txt")]
    return str(text)


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Return the manifests of some kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the templates of pods, by the name of what starts them."""
    found = of_kind(manifests, "StatefulSet", "Deployment", "Job")
    return {name: each["spec"]["template"] for name, each in found.items()}


def containers(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield each container with the specification of its pod."""
    for pod in pods(manifests).values():
        for each in pod["spec"]["containers"]:
            yield pod["spec"], each


def container(manifests: list[Manifest], name: str) -> Manifest:
    """Return a container by its name."""
    (found,) = (each for _, each in containers(manifests) if each["name"] == name)
    return found


def variables(found: Manifest) -> dict[str, str]:
    """Return the variables of a container whose values stand in the manifest."""
    return {each["name"]: each["value"] for each in found["env"] if "value" in each}
