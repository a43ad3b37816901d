"""What stands in deploy/ agrees with the program, and with itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from tailrace.access.tokens import Tokens
from tests.apps.programs import tailrace, until
from tests.deploy.files import (
    CHART,
    CONFIG,
    DEPLOY,
    DOCKERFILE,
    MANIFEST,
    ROOT,
    UNITS,
    asked_metrics,
    compose,
    listens,
    manifests,
    of_kind,
    settings,
    started,
    understood,
)

OURS = ("agent", "index", "serve-1", "serve-2")


def checked(config: Path) -> None:
    ended = tailrace("check", config)
    assert ended.returncode == 0, ended.stderr.decode()


def test_the_configuration_for_all_programs_is_one_that_they_understand():
    checked(CONFIG)


def test_the_configuration_of_the_chart_is_one_that_the_programs_understand(tmp_path):
    config = tmp_path / "tailrace.toml"
    config.write_text(yaml.safe_load((CHART / "values.yaml").read_text())["config"])
    checked(config)
    config.write_text(of_kind("ConfigMap")["tailrace"]["data"]["tailrace.toml"])
    checked(config)


# -- compose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_a_container_is_started_as_the_command_line_has_it_and_asked_where_it_listens(name):
    service = compose()["services"][name]
    args = understood(service["command"])
    assert args.config == "/etc/tailrace/tailrace.toml"
    assert f"../tailrace.toml:{args.config}:ro" in service["volumes"]
    asked = int(service.get("environment", {}).get("HEALTH_PORT", 7800))
    assert asked == listens(args.command, settings())


@pytest.mark.parametrize("name", ["agent", "index"])
def test_what_nobody_outside_has_to_reach_listens_on_loopback_because_it_has_no_token(name):
    environment = compose()["services"][name]["environment"]
    assert environment[f"TAILRACE_{name.upper()}__LISTEN"].startswith("127.0.0.1:")
    checked_value = environment[f"TAILRACE_{name.upper()}__LISTEN"]
    assert checked_value.endswith(environment["HEALTH_PORT"])


def test_the_addresses_of_the_configuration_are_services_of_compose():
    services, given = compose()["services"], settings()
    urls = [*given["elastic"]["urls"], *given["etcd"]["endpoints"], given["redis"]["url"]]
    hosts = [urlsplit(url).hostname for url in urls] + [one.partition(":")[0] for one in given["kafka"]["brokers"]]
    assert set(hosts) <= set(services)
    assert len(given["kafka"]["brokers"]) == given["kafka"]["replication"] == 3


def test_only_nginx_is_reached_from_outside_and_only_on_this_machine():
    ports = {name: service.get("ports", []) for name, service in compose()["services"].items()}
    assert [name for name, published in ports.items() if published] == ["nginx"]
    assert all(port.startswith("127.0.0.1:") for port in ports["nginx"])


def test_nginx_stands_before_all_servers():
    config = (DEPLOY / "nginx/tailrace.conf").read_text()
    port = listens("serve", settings())
    assert set(re.findall(r"server (\S+):(\d+) ", config)) == {("serve-1", str(port)), ("serve-2", str(port))}
    assert "../nginx/tailrace.conf:/etc/nginx/conf.d/default.conf:ro" in compose()["services"]["nginx"]["volumes"]


def test_every_volume_that_is_named_is_there():
    whole = compose()
    used = {v.partition(":")[0] for one in whole["services"].values() for v in one.get("volumes", ())}
    assert {name for name in used if not name.startswith((".", "/"))} == set(whole["volumes"])
    for path in used:
        if path.startswith("."):
            assert (DEPLOY / "compose" / path).exists(), path


def test_the_agent_may_write_to_its_volume_though_it_is_not_the_user_of_the_image():
    agent = compose()["services"]["agent"]
    assert agent["user"] == "0:0"
    assert agent["cap_add"] == ["DAC_READ_SEARCH"]  # root that writes only to what is its own
    assert "agent:/var/lib/tailrace:nocopy" in agent["volumes"]


# -- the image -------------------------------------------------------------------------------------------------------


def test_the_image_is_built_of_files_that_are_there_and_that_docker_is_given():
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    ]
    assert set(copied) == given
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_and_starts_a_server():
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    command = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert command
    assert understood(yaml.safe_load(command[1])).listen == "0.0.0.0:7800"
    ports = {str(listens(name, settings())) for name in ("serve", "agent", "index")}
    assert ports == set(re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[1].split())  # pyright: ignore


def test_the_image_has_what_a_cluster_needs():
    assert set(re.findall(r"--extra (\w+)", DOCKERFILE)) == {"cluster"}


# -- systemd ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def unit_files(tmp_path) -> Path:
    """The units with a program that is there."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/tailrace/bin/tailrace", shutil.which("true") or "")
        text = re.sub("^Documentation=.*$", "", text, flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@.", "@2.")).write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_command_line_has_and_signals_what_it_listens_to(unit):
    args = understood(started(unit))
    assert args.config == "/etc/tailrace/tailrace.toml"
    assert ("ExecReload=" in unit.read_text()) == (args.command in ("agent", "up"))


def test_systemd_finds_no_fault_in_the_units_and_little_that_they_could_do(unit_files):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    units = sorted(unit_files.glob("*.service"))
    assert len(units) == 4
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)  # noqa: PLW1510
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit in units:
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
        exposed = subprocess.run(command, capture_output=True, text=True)  # noqa: PLW1510
        assert exposed.returncode == 0, exposed.stdout


def test_a_program_runs_where_no_memory_may_be_both_written_and_run(start):
    """MemoryDenyWriteExecute of the units, with the means of the kernel: none of the libraries makes code."""
    forbid = (
        "import ctypes, os, sys; bad = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    forbids = "import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0)"
    python = shutil.which("python3") or "python3"
    if subprocess.run([python, "-c", forbids]).returncode:  # noqa: PLW1510
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    server = start(under=(python, "-c", forbid), command="serve")
    assert server.push(b'{"message":"one"}\n' * 1000)[0] == 200
    until(lambda: len(server.messages(q="one")) == 1000)
    assert server.get("/api/v1/search", q="one | stats count() by level")["records"]


# -- Kubernetes ------------------------------------------------------------------------------------------------------


def test_the_manifest_is_what_the_chart_makes():
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed (go install helm.sh/helm/v3/cmd/helm@latest)")
    made = subprocess.run(
        [helm, "template", "--kube-version", "1.30", "tailrace", CHART], capture_output=True, text=True, check=True
    ).stdout
    assert list(yaml.safe_load_all(made)) == list(yaml.safe_load_all(MANIFEST.read_text()))
    subprocess.run([helm, "lint", "--strict", CHART], check=True, capture_output=True)


def test_kubernetes_would_take_the_manifest():
    for one in manifests():
        kubernetes_validate.validate(one, "1.30", strict=True)


def test_there_is_one_of_everything_that_kubernetes_needs():
    kinds = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    assert kinds >= {
        ("DaemonSet", "tailrace-agent"),
        ("Deployment", "tailrace-index"),
        ("Deployment", "tailrace-serve"),
        ("Service", "tailrace"),
        ("PodDisruptionBudget", "tailrace-index"),
        ("PodDisruptionBudget", "tailrace-serve"),
        ("ConfigMap", "tailrace"),
        ("ServiceAccount", "tailrace"),
    }


PODS = [("DaemonSet", "agent"), ("Deployment", "index"), ("Deployment", "serve")]


@pytest.mark.parametrize(("kind", "part"), PODS)
def test_a_pod_starts_what_the_command_line_has_and_its_ports_and_mounts_agree(kind, part):
    spec = of_kind(kind)[f"tailrace-{part}"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    args = understood(container["args"])
    (port,) = container["ports"]
    assert args.command == part
    assert args.listen == f"0.0.0.0:{port['containerPort']}"
    assert port["containerPort"] == listens(part, settings())
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert args.config in mounts
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert f"{environment['TAILRACE_DATA__DIRECTORY']}/tokens.json" in mounts
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in spec["volumes"]}


@pytest.mark.parametrize(("kind", "part"), PODS)
def test_what_selects_pods_finds_those_that_are_meant(kind, part):
    spec = of_kind(kind)[f"tailrace-{part}"]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    if kind == "Deployment":
        budget = of_kind("PodDisruptionBudget")[f"tailrace-{part}"]["spec"]
        assert budget["selector"]["matchLabels"] == spec["selector"]["matchLabels"]
    if part == "serve":
        assert of_kind("Service")["tailrace"]["spec"]["selector"] == spec["selector"]["matchLabels"]


def test_an_agent_sees_the_logs_of_all_pods_and_may_do_nothing_but_read():
    spec = of_kind("DaemonSet")["tailrace-agent"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {one["mountPath"]: one.get("readOnly") for one in container["volumeMounts"]}
    assert mounts["/var/log"] is mounts["/var/lib/docker/containers"] is True
    rights = container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert rights["readOnlyRootFilesystem"] is True
    paths = settings(of_kind("ConfigMap")["tailrace"]["data"]["tailrace.toml"])["collect"]["paths"]
    assert "/var/log/pods/**/*.log" in paths


def test_the_guard_of_a_pod_lets_the_probes_in_and_nobody_else(start, tmp_path):
    """Others reach it, so it does not start without a token; health needs none."""
    assert b"there is no token" in tailrace("serve", "--data", tmp_path / "none", "--listen", "0.0.0.0:0").stderr
    Tokens(tmp_path / "data").add("prometheus")
    (tmp_path / "data/tokens.json").chmod(0o440)
    server = start(TAILRACE_SERVER__HOSTS="logs.example.com")
    assert [server.call("GET", path)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 401]


# -- Grafana ---------------------------------------------------------------------------------------------------------


def test_every_metric_of_the_dashboard_and_of_the_alerts_exists(start, tmp_path):
    (tmp_path / "app.log").write_text("one\n")
    up = start(tmp_path / "app.log", command="up")
    up.get("/api/v1/search", q="one")
    text = up.call("GET", "/metrics")[2].decode()
    there = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)) | set(
        re.findall(r"^(tailrace_\w+)", text, re.MULTILINE)
    )
    # What only agents and indexers have: the words with which they make them.
    sources = "".join(path.read_text() for path in (ROOT / "src/tailrace").rglob("*.py"))
    for name in asked_metrics() - there:
        plain = re.sub("_(total|bucket)$", "", name)
        made = {f'"{plain}"', f'"{plain.removeprefix("tailrace_index_")}"'}
        assert any(one in sources for one in made), name
