"""The whole product in containers: what compose.product.yaml adds to compose.yaml fits the programs and each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.entrypoints.trial import FOLDER
from serving.gateway.settings import GatewaySettings
from tests.deploy.commands import parsed

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OURS = ("serve", "bot", "studio", "watch")
EVERY = (*OURS, "mlflow", "prometheus", "grafana")


class _Loader(yaml.SafeLoader):
    """Reader that knows Compose's two tags, which say that a value stands instead of the other file's."""


def _listed(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return list(loader.construct_sequence(node))


for _tag in ("!reset", "!override"):
    _Loader.add_constructor(_tag, _listed)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Services as `docker compose -f compose.yaml -f compose.product.yaml config` has them, as far as tests look.

    Mappings are merged; in these files, of what Compose appends, the second file has only what replaces the first's.
    """
    files = [
        yaml.load((DEPLOY / name).read_text(encoding="utf-8"), Loader=_Loader)["services"]  # noqa: S506 - a safe one
        for name in ("compose.yaml", "compose.product.yaml")
    ]
    merged: dict[str, dict[str, Any]] = files[0]
    for name, service in files[1].items():
        into = merged.setdefault(name, {})
        for key, value in service.items():
            into[key] = {**into.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def test_the_product_is_all_of_it(services: dict[str, Any]) -> None:
    assert set(services) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_container_can_write_nothing_but_its_volumes_and_may_do_nothing_else(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - in a container
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    image = service.get("image", "")
    assert "deephypebot" in image or re.search(r":v?\d+\.\d+\.\d+$", image) or "build" in service, (
        "a version, not latest"
    )


@pytest.mark.parametrize("name", OURS)
def test_a_command_reads_its_arguments_and_variables(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in services[name]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:[-+]([^}]*)\}", r"\1", value))
    read = parsed(services[name]["command"])
    if name == "serve":
        assert read["gateway_metrics_host"] == "0.0.0.0"  # noqa: S104 - in a container
        assert read["exposures"] == Path("/exposures/rows")
        # Given by its path on the host, and without it nothing.
        assert read["trusted_keys"] == Path("/run/trusted.pem")
        assert services[name]["environment"]["DEEPHYPEBOT_TRUSTED_KEYS"].startswith("${DEEPHYPEBOT_TRUSTED_KEYS:+")
        assert f"${{DEEPHYPEBOT_TRUSTED_KEYS:-/dev/null}}:{read['trusted_keys']}:ro" in services[name]["volumes"]
    if name == "bot":
        assert read["sandbox"] is True, "nothing is posted anywhere"


def test_every_address_is_a_service_with_that_port(services: dict[str, Any]) -> None:
    ports = {"serve": {50051, 9107}, "mlflow": {5000}, "bot": {9108}, "prometheus": {9090}}
    assert services["serve"]["environment"]["DEEPHYPEBOT_GATEWAY_METRICS_PORT"] == "9107"
    assert services["bot"]["environment"]["DEEPHYPEBOT_METRICS_PORT"] == "9108"
    text = "".join(
        (DEPLOY / name).read_text()
        for name in ("compose.product.yaml", "monitoring/prometheus.yaml", "monitoring/grafana/datasources.yaml")
    )
    named = re.findall(r"\b(serve|mlflow|bot|studio|prometheus|grafana):(\d{4,5})\b", text)
    assert {name for name, _ in named} == set(ports)
    for name, port in named:
        assert int(port) in ports[name]
    allowed = (ROOT / "mlflow" / "server.env").read_text()
    assert "mlflow:*" in allowed, "MLflow knows the name by which it is called"


def test_prometheus_scrapes_the_jobs_of_the_rules_and_grafana_shows_the_dashboard(services: dict[str, Any]) -> None:
    folder = DEPLOY / "monitoring"
    config = yaml.safe_load((folder / "prometheus.yaml").read_text())
    jobs = {each["job_name"] for each in config["scrape_configs"]}
    assert jobs == set(re.findall(r'job="([\w-]+)"', (folder / "alerts.yaml").read_text()))
    mounted = {
        target: DEPLOY / source
        for name in ("prometheus", "grafana")
        for source, target, *_ in (each.split(":") for each in services[name]["volumes"])
        if source.startswith("./")
    }
    assert all(path.is_file() for path in mounted.values())
    assert Path("/etc/prometheus", *config["rule_files"]).as_posix() in mounted
    (provider,) = yaml.safe_load((folder / "grafana" / "dashboards.yaml").read_text())["providers"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounted[home] == folder / "dashboard.json"
    assert Path(home).is_relative_to(provider["options"]["path"])
    (source,) = yaml.safe_load((folder / "grafana" / "datasources.yaml").read_text())["datasources"]
    (variable,) = json.loads((folder / "dashboard.json").read_text())["templating"]["list"]
    assert source["type"] == variable["query"] == "prometheus"
    assert source["isDefault"] is True


def test_gateway_and_watch_share_the_exposures_and_bot_studio_and_watch_the_database(services: dict[str, Any]) -> None:
    assert "exposures:/exposures" in services["serve"]["volumes"]
    assert "exposures:/exposures:ro" in services["watch"]["volumes"]
    names = ("serve", "watch")
    assert len({services[name]["environment"]["DEEPHYPEBOT_EXPOSURES"] for name in names}) == 1
    assert all("state:/var/lib/deephypebot" in services[name]["volumes"] for name in ("bot", "studio", "watch"))
    assert services["watch"]["profiles"] == [], "it always runs"


def test_studio_and_watch_read_the_database_of_a_bot_with_stand_ins(services: dict[str, Any]) -> None:
    folder = {name: Path(parsed(services[name]["command"])["workspace"]) for name in ("bot", "studio", "watch")}
    assert folder["studio"] == folder["watch"] == folder["bot"] / FOLDER


def test_a_stop_waits_for_a_drain(services: dict[str, Any]) -> None:
    assert int(services["serve"]["stop_grace_period"].removesuffix("s")) > GatewaySettings().drain_s + 5


def test_no_password_is_written_down(services: dict[str, Any]) -> None:
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"].startswith(
        "${DEEPHYPEBOT_GRAFANA_PASSWORD:?"
    )
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            assert value.startswith("${") or not re.search(r"PASSWORD|TOKEN|SECRET", name)
