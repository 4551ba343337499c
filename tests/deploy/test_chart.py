"""The Helm chart renders to manifests that Kubernetes takes, and says what the programs in it understand."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bot.entrypoints.trial import FOLDER
from bot.settings import BotSettings, load
from bot.studio.access import LOGIN
from bot.studio.reach import check_access
from serving.credentials import VARIABLES, Credentials
from serving.gateway.listening import check_reach
from serving.http.openapi import openapi_document
from serving.security.settings import SecuritySettings
from tests.deploy.chart import (
    CASES,
    CHART,
    EVERYTHING,
    ROOT,
    SECURE,
    Manifest,
    Values,
    container,
    containers,
    helm,
    notes,
    of_kind,
    pods,
    render,
    variables,
)
from tests.deploy.commands import options_of, parsed
from tests.deploy.queries import Reader, metrics

VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that the chart takes, and the newest whose schemas are here."""
OF_THE_OPERATOR = "monitoring.coreos.com/v1"
"""Kinds of Prometheus's operator, for which there is no schema here."""
LABEL = "deephypebot.example/job"


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(CASES[request.param])


@pytest.fixture(scope="module", autouse=True)
def schemas_are_read_once() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubernetes_validate.utils.schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(case: list[Manifest], version: str) -> None:
    for manifest in case:
        if manifest["apiVersion"] != OF_THE_OPERATOR:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    (policy,) = of_kind(render(SECURE), "PodDisruptionBudget").values()
    policy["spec"]["maxUnavailabel"] = policy["spec"].pop("maxUnavailable")
    with pytest.raises(kubernetes_validate.ValidationError, match="maxUnavailabel"):
        kubernetes_validate.validate(policy, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_helm_finds_nothing_to_complain_of(values: Values) -> None:
    found = helm.lint(CHART, dict(values), strict=True)
    assert found["errors"] == []
    assert [each["error"] for each in found["messages"] if each["error"] != "icon is recommended"] == []


def test_a_package_holds_what_the_links_of_the_checkout_lead_to(tmp_path: Path) -> None:
    archive = helm.package(CHART, destination=tmp_path)
    assert render(EVERYTHING, path=Path(archive)) == render(EVERYTHING)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"set gateway\.tls\.existingSecret, and gateway\.clients\.existingSecret .* gateway\.insecure=true"),
        ({"gateway": {"tls": {"existingSecret": "x"}}}, "strangers are kept out"),
        ({"gateway": {"insecure": True, "tls": {"clientSecret": "x"}}}, r"needs gateway\.tls\.existingSecret"),
        ({**SECURE, "image": {"tag": "latest"}}, "the tag latest of deephypebot"),
        ({**SECURE, "image": {"digest": "0123"}}, "image/digest"),
        ({**SECURE, "mlflow": {"enabled": False}}, r"there is no registry: .* registry\.uri"),
        ({**SECURE, "bot": {"enabled": True}}, r"bot\.studio\.existingSecret \(key token"),
        (
            {**SECURE, "bot": {"enabled": True, "studio": {"enabled": False}, "settings": '[x]\naccess_token = "a"\n'}},
            "bot.settings holds a secret",
        ),
        (
            {**SECURE, "bot": {"enabled": True, "studio": {"existingSecret": "x", "ingress": {"enabled": True}}}},
            r"bot\.studio\.ingress\.tlsSecret",
        ),
        ({**SECURE, "gatewy": {}}, "gatewy"),
        ({**SECURE, "gateway": {**SECURE["gateway"], "replicas": 0}}, "gateway/replicas"),
        ({**SECURE, "gateway": {**SECURE["gateway"], "models": []}}, "gateway/models"),
        ({**SECURE, "exposures": {"size": "many"}}, "exposures/size"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_with_the_way_out(values: Values, message: str) -> None:
    with pytest.raises(helm.HelmError, match=message):
        render(values)


@pytest.mark.parametrize("values", [dict(CASES["trial"]), dict(EVERYTHING)], ids=["trial", "everything"])
def test_every_secret_that_the_bot_has_is_refused_in_its_settings(values: dict[str, Any]) -> None:
    secret = [
        name
        for section in BotSettings.model_fields.values()
        for name, each in getattr(section.annotation, "model_fields", {}).items()
        if "SecretStr" in str(each.annotation)
    ]
    assert {"access_token", "app_password", "client_secret", "api_key"} <= set(secret)
    for name in secret:
        with pytest.raises(helm.HelmError, match=r"bot\.settings holds a secret"):
            render({**values, "bot": {**values["bot"], "settings": f"[part]\n  {name} = 'x'\n"}})


def test_the_chart_is_of_this_version_and_its_values_are_all_described_by_the_schema() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(values: Any, part: Any, place: str) -> None:
        while "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        if part.get("additionalProperties") is False:
            assert set(values) == set(part["properties"]), place
            for name, value in values.items():
                compare(value, part["properties"][name], f"{place}.{name}")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for part in ("image", "botImage", "loadtestImage"):
        assert set(values[part]) == {"repository", "tag", "digest", "pullPolicy"}
    compare({**values, "global": {}}, schema, "values")


# What the programs understand.


@pytest.mark.parametrize("name", ["serve", "bot", "studio", "watch"])
@pytest.mark.parametrize("values", CASES)
def test_the_command_of_a_container_reads_its_arguments_and_its_variables(
    values: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [each for _, each in containers(render(CASES[values])) if each["name"] == name]
    for each in found:
        assert "command" not in each, "the image's own entrypoint"
        for variable, value in variables(each).items():
            monkeypatch.setenv(variable, value)
        read = parsed(each["args"])
        assert read.get("workspace") in {None, Path(variables(each)["DEEPHYPEBOT_WORKSPACE"])}
    assert found or (name == "watch" and values != "everything") or values in {"secure", "gpu", "gpus"}


@pytest.mark.parametrize("values", CASES)
def test_the_gateway_would_start_with_what_keeps_strangers_out(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve = container(render(CASES[values]), "serve")
    for variable, value in variables(serve).items():
        monkeypatch.setenv(variable, value)
    read = parsed(serve["args"])
    names = ("insecure_listen", "tls_cert", "tls_key", "tls_client_ca", "clients_file")
    security = SecuritySettings(**{name: read[name] for name in names})
    check_reach(read["host"], security)
    assert security.insecure_listen is (values == "trial")
    assert security.keeps_strangers_out is (values != "trial")
    assert (read["tls_client_ca"] is not None) is (values == "everything")
    assert (read["trusted_keys"] is not None) is (values == "everything")
    assert read["models"].split(",") == ["lcgan", "cvae"]


def test_every_variable_exists(case: list[Manifest]) -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    settings = {*re.findall(r"`(DEEPHYPEBOT_[A-Z0-9_]+)`", page), *VARIABLES.values()}
    for _, each in containers(case):
        named = [one["name"] for one in each["env"]]
        assert len(named) == len(set(named)), "a variable stands there twice"
        if each["name"] != "mlflow":
            options = {one.envvar for one in options_of(each["args"])} if "command" not in each else set()
            assert set(named) - {"HOME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_LOGS_EXPORTER"} <= settings | options, (
                each["name"]
            )


def source(module: str) -> str:
    """Return a module's text; to import MLflow or locust takes seconds."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], *module.split(".")[1:])
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


def test_every_variable_of_mlflow_exists() -> None:
    known = set(re.findall(r"MLFLOW_\w+", source("mlflow.environment_variables")))
    known |= set(re.findall(r'envvar="(MLFLOW_\w+)"', source("mlflow.cli") + source("mlflow.utils.cli_args")))
    for values in CASES.values():
        named = {each["name"] for each in container(render(values), "mlflow")["env"]} - {"HOME"}
        assert named <= known


def test_mlflow_is_called_by_names_that_it_knows() -> None:
    manifests = render(EVERYTHING)
    known = variables(container(manifests, "mlflow"))["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    address = variables(container(manifests, "serve"))["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert address.partition(":")[0] + ":*" in known
    assert "mlflow.example" in known
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        (header,) = container(manifests, "mlflow")[kind]["httpGet"]["httpHeaders"]
        assert header == {"name": "Host", "value": "localhost"}
        assert "localhost" in known


def test_every_option_of_the_load_test_exists() -> None:
    known = set(re.findall(r'"(--[a-z-]+)"', source("locust.argument_parser") + source("loadtest.arguments")))
    given = {each.partition("=")[0] for each in container(render(EVERYTHING), "locust")["args"]}
    assert given <= known


def test_the_bots_settings_are_read(tmp_path: Path) -> None:
    (found,) = of_kind(render(EVERYTHING), "ConfigMap").keys() - {"dhb-deephypebot-dashboard"}
    text = of_kind(render(EVERYTHING), "ConfigMap")[found]["data"]["deephypebot.toml"]
    path = tmp_path / "deephypebot.toml"
    path.write_text(text)
    assert load(path) == BotSettings()


def test_a_client_verifies_the_gateway_and_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bot", "studio", "watch", "locust", "serve"):
        for variable in VARIABLES.values():
            monkeypatch.delenv(variable, raising=False)
        for variable, value in variables(container(render(EVERYTHING), name)).items():
            monkeypatch.setenv(variable, value)
        credentials = Credentials.from_environment()
        assert credentials.speak_tls
        assert credentials.server_name == "gateway.example"
        assert credentials.client_key is not None
        assert (credentials.token_file is None) is (name == "serve"), "the probe asks for health, which needs no token"


def test_the_studio_would_not_start_without_its_token() -> None:
    studio = container(render(EVERYTHING), "studio")
    host = variables(studio)["DEEPHYPEBOT_STUDIO_HOST"]
    with pytest.raises(Exception, match="DEEPHYPEBOT_STUDIO_TOKEN"):
        check_access(host, None)
    (token,) = (each for each in studio["env"] if each["name"] == "DEEPHYPEBOT_STUDIO_TOKEN")
    assert token["valueFrom"]["secretKeyRef"]["name"] == "studio"


# Ports, labels, volumes, secrets.


def test_probes_services_and_policies_name_ports_that_exist(case: list[Manifest]) -> None:
    environment = {
        "grpc": "DEEPHYPEBOT_GATEWAY_PORT", "http": "DEEPHYPEBOT_HTTP_PORT",
        "metrics": "DEEPHYPEBOT_GATEWAY_METRICS_PORT",
    }  # fmt: skip
    for pod in pods(case).values():
        ports: dict[str, int] = {}
        for each in pod["spec"]["containers"]:
            own = {port["name"]: port["containerPort"] for port in each.get("ports", [])}
            assert not ports.keys() & own.keys()
            ports |= own
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                for way in ("httpGet", "tcpSocket"):
                    if way in each.get(kind, {}):
                        assert each[kind][way]["port"] in own
            if each["name"] == "serve":
                assert {name: str(port) for name, port in own.items()} == {
                    name: variables(each)[variable] for name, variable in environment.items()
                }
        for service in of_kind(case, "Service").values():
            if selects(service["spec"]["selector"], pod):
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
                assert all(ports[port["targetPort"]] == port["port"] for port in service["spec"]["ports"])


def selects(selector: dict[str, str], pod: Manifest) -> bool:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return selector.items() <= labels.items()


def test_every_selector_finds_the_pods_of_one_part(case: list[Manifest]) -> None:
    parts = pods(case)
    selectors = [each["spec"]["selector"] for each in of_kind(case, "Service").values()]
    selectors += [
        each["spec"]["selector"]["matchLabels"]
        for each in of_kind(case, "PodDisruptionBudget", "StatefulSet", "Deployment").values()
    ]
    for policy in of_kind(case, "NetworkPolicy").values():
        selectors.append(policy["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert sum(selects(selector, pod) for pod in parts.values()) == 1, selector


def test_volumes_are_mounted_and_mounts_have_volumes(case: list[Manifest]) -> None:
    claims = of_kind(case, "PersistentVolumeClaim")
    started = of_kind(case, "StatefulSet", "Deployment", "Job")
    for each in started.values():
        pod = each["spec"]["template"]["spec"]
        templates = {one["metadata"]["name"] for one in each["spec"].get("volumeClaimTemplates", [])}
        volumes = {one["name"] for one in pod["volumes"]} | templates
        assert len(volumes) == len(pod["volumes"]) + len(templates)
        mounted = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
        assert mounted == volumes
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_what_is_written_is_on_a_volume_and_nothing_else_can_be(case: list[Manifest]) -> None:
    for pod, each in containers(case):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "NAME_GATEWAY_PORT=tcp://... would be read as a setting"
        writable = [Path(mount["mountPath"]) for mount in each["volumeMounts"] if not mount.get("readOnly")]
        assert Path("/tmp") in writable  # noqa: S108 - in a pod
        for name in ("DEEPHYPEBOT_WORKSPACE", "DEEPHYPEBOT_MODEL_STORE", "HOME", "MLFLOW_ARTIFACTS_DESTINATION"):
            path = variables(each).get(name, "/tmp")  # noqa: S108
            assert "://" in path or any(Path(path).is_relative_to(folder) for folder in writable), (name, path)
        for name, path in variables(each).items():
            if path.startswith("/etc/"):
                assert any(Path(path).is_relative_to(mount["mountPath"]) for mount in each["volumeMounts"]), name


def test_no_secret_is_in_a_config_map_an_argument_or_a_variable(case: list[Manifest]) -> None:
    for _, each in containers(case):
        for one in each["env"]:
            if re.search(r"TOKEN$|SECRET$|PASSWORD|ACCESS_KEY", one["name"]):
                assert "value" not in one, one["name"]
        assert not [word for word in each.get("args", []) if re.search(r"dhb_|token=|password", word)]
    for each in of_kind(case, "ConfigMap").values():
        assert not re.search(r"^\s*\w*(token|secret|password)\w* =", "".join(each["data"].values()), re.MULTILINE)
    assert not of_kind(case, "Secret"), "the chart makes none, so that none is in a release"


# Alive, ready, stopping.


def test_probes_tell_alive_from_ready_and_ask_what_exists() -> None:
    paths = openapi_document("X-Request-Timeout", has_webhooks=False)["paths"]
    serve = container(render(SECURE), "serve")
    assert serve["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert serve["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {"/healthz", "/readyz"} <= set(paths)
    assert serve["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert container(render(CASES["trial"]), "serve")["livenessProbe"]["httpGet"]["scheme"] == "HTTP"
    # The kubelet has no certificate to show, so the pod asks itself.
    python, flag, module = container(render(EVERYTHING), "serve")["readinessProbe"]["exec"]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None
    assert container(render(EVERYTHING), "studio")["readinessProbe"]["httpGet"]["path"] == LOGIN


@pytest.mark.parametrize("drain", [0, 30, 300])
def test_a_pod_has_longer_than_its_drain_to_end(drain: int) -> None:
    gateway = {**SECURE["gateway"], "drainSeconds": drain, "preStopSeconds": 7}
    manifests = render({**SECURE, "gateway": gateway})
    (pod,) = (each["spec"] for name, each in pods(manifests).items() if name.endswith("-gateway"))
    (serve,) = pod["containers"]
    assert parsed(serve["args"])["drain"] == drain
    assert serve["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    assert pod["terminationGracePeriodSeconds"] >= 7 + drain + 10


def test_one_bot_alone_writes_to_one_database() -> None:
    bot = of_kind(render(EVERYTHING), "StatefulSet")["dhb-deephypebot-bot"]
    assert bot["spec"]["replicas"] == 1
    pod = bot["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["bot", "studio", "watch"]
    folders = {variables(each)["DEEPHYPEBOT_WORKSPACE"] for each in pod["containers"]}
    assert len(folders) == 1


def test_studio_and_watch_read_the_database_of_a_bot_with_stand_ins() -> None:
    trial: Any = CASES["trial"]
    manifests = render({**trial, "bot": {**trial["bot"], "watch": {"enabled": True}}})
    bot, *others = (
        variables(container(manifests, name))["DEEPHYPEBOT_WORKSPACE"] for name in ("bot", "studio", "watch")
    )
    assert set(others) == {str(Path(bot) / FOLDER)}


def test_gateways_and_the_watch_share_the_exposures() -> None:
    manifests = render(EVERYTHING)
    folders = {variables(container(manifests, name))["DEEPHYPEBOT_EXPOSURES"] for name in ("serve", "watch")}
    assert folders == {"/exposures/rows"}
    claim = of_kind(manifests, "PersistentVolumeClaim")["dhb-deephypebot-exposures"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize(("values", "replicas"), [("gpu", 1), ("gpus", None)])
def test_a_pod_of_the_values_for_gpus_takes_one(values: str, replicas: int | None) -> None:
    manifests = render(CASES[values])
    gateway = of_kind(manifests, "StatefulSet")["dhb-deephypebot-gateway"]
    assert gateway["spec"].get("replicas") == replicas, "autoscaling owns the number"
    assert container(manifests, "serve")["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gateway["spec"]["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


# Monitoring, scaling, and who may reach what.


def test_the_monitoring_is_that_of_the_checkout_with_the_jobs_that_its_rules_name() -> None:
    manifests = render(EVERYTHING)
    folder = ROOT / "deploy" / "monitoring"
    (rule,) = of_kind(manifests, "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load((folder / "alerts.yaml").read_text())
    dashboard = of_kind(manifests, "ConfigMap")["dhb-deephypebot-dashboard"]["data"]["deephypebot.json"]
    assert dashboard == (folder / "dashboard.json").read_text()
    (monitor,) = of_kind(manifests, "ServiceMonitor").values()
    (expression,) = monitor["spec"]["selector"]["matchExpressions"]
    assert expression == {"key": LABEL, "operator": "Exists"}
    chosen = [each for each in of_kind(manifests, "Service").values() if LABEL in each["metadata"]["labels"]]
    (endpoint,) = monitor["spec"]["endpoints"]
    for service in chosen:
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    jobs = set(re.findall(r'job="([\w-]+)"', (folder / "alerts.yaml").read_text()))
    assert {each["metadata"]["labels"][LABEL] for each in chosen} == jobs
    assert monitor["spec"]["jobLabel"] == LABEL


def test_the_metric_by_which_gateways_are_scaled_is_made_from_one_that_they_have() -> None:
    (scaler,) = of_kind(render(EVERYTHING), "HorizontalPodAutoscaler").values()
    wanted = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
    (rule,) = yaml.safe_load((CHART / "files" / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert wanted == [rule["name"]["as"]]
    assert scaler["spec"]["scaleTargetRef"]["name"] in of_kind(render(EVERYTHING), "StatefulSet")
    query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'pod="a"').replace("<<.GroupBy>>", "pod")
    known = metrics()
    for text in (rule["seriesQuery"], query):
        read = Reader(text)
        assert read.series
        assert {name for name, _ in read.series} <= set(known)


def test_only_named_peers_reach_what_asks_nobody_who_they_are() -> None:
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")

    def peers(name: str, port: str) -> list[str]:
        rules = [each for each in policies[name]["spec"]["ingress"] if port in {one["port"] for one in each["ports"]}]
        found = [
            each.get("podSelector", each.get("namespaceSelector"))["matchLabels"]
            for one in rules
            for each in one["from"]
        ]
        return sorted(
            each.get("app.kubernetes.io/component", each.get("kubernetes.io/metadata.name", "?")) for each in found
        )

    assert peers("dhb-deephypebot-mlflow", "http") == ["bot", "gateway"]
    assert peers("dhb-deephypebot-gateway", "grpc") == ["bot", "loadtest", "shops"]
    assert peers("dhb-deephypebot-gateway", "http") == ["shops"]
    assert peers("dhb-deephypebot-gateway", "metrics") == ["monitoring"]
    assert peers("dhb-deephypebot-bot", "studio") == ["ingress-nginx"]
    assert peers("dhb-deephypebot-bot", "metrics") == ["monitoring"]
    assert "ingress" not in policies["dhb-deephypebot-loadtest"]["spec"]
    for policy in policies.values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule.get("from") for rule in policy["spec"].get("ingress", [])), "an empty list lets everybody in"


def test_mlflow_is_for_the_bot_only_where_the_watch_is_in_its_pod() -> None:
    values = {**EVERYTHING, "bot": {**EVERYTHING["bot"], "watch": {"enabled": False}}}
    (rule,) = of_kind(render(values), "NetworkPolicy")["dhb-deephypebot-mlflow"]["spec"]["ingress"]
    named = [each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in rule["from"]]
    assert named == ["gateway"]


def test_the_notes_warn_of_a_registry_whose_archives_need_no_signature() -> None:
    assert "trustedKeys is empty" in notes(CASES["trial"])
    assert "trustedKeys" not in notes(EVERYTHING)


def test_a_bot_with_stand_ins_reaches_nothing_outside() -> None:
    values = {**CASES["trial"], "networkPolicy": {"enabled": True}}
    policy = of_kind(render(values), "NetworkPolicy")["dhb-deephypebot-bot"]
    assert not [each for each in policy["spec"]["egress"] for one in each.get("to", []) if "ipBlock" in one]
