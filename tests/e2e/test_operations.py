"""What operators get with the program: units, alerts, a dashboard, manifests and a package. Each is judged by a tool of its own ecosystem."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import compose_spec
import pytest
import yaml
from support.assay import run_assay
from support.paths import ASSAY_BIN, ROOT

OPS = ROOT / "ops"


def run(*command: str | Path, **how) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **how)
    assert done.returncode == 0, f"{command[0]} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", ["assay.service", "assay-ingest.service", "assay-worker@1.service"])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, tmp_path: Path):
    # verify wants the program to be where the unit says, and an instance of a template by its name.
    source = re.sub(r"@\d+", "@", unit)
    text = (OPS / "systemd" / source).read_text().replace("/usr/bin/assay", str(ASSAY_BIN)).replace("file:///usr/share/doc/assay/README.md", "man:systemd(1)")
    (tmp_path / source).write_text(text)
    said = run("systemd-analyze", "verify", tmp_path / unit, env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"})
    assert said.strip() == ""


@pytest.mark.parametrize("unit", ["assay.service", "assay-ingest.service", "assay-worker@.service"])
def test_a_unit_is_sandboxed(unit: str, tmp_path: Path):
    said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", OPS / "systemd" / unit)
    assert "Overall exposure level" in said  # 2.0 of 10 at the most, or the exit code says no


def test_a_unit_does_not_start_again_what_a_setting_keeps_from_starting():
    refused = run_assay("worker", "--kafka", "127.0.0.1:1", "--commit-interval", "never")
    for unit in (OPS / "systemd").glob("*.service"):
        assert f"RestartPreventExitStatus={refused.returncode}" in unit.read_text().splitlines(), unit.name


def test_a_unit_reloads_what_takes_a_hangup(assay):
    door = assay("serve")
    door.signal(signal.SIGHUP)
    assert door.http.get("/readyz").status_code == 200
    for unit in (OPS / "systemd").glob("*.service"):
        assert ("ExecReload=/bin/kill -HUP $MAINPID" in unit.read_text()) == ("worker" not in unit.name), unit.name


def test_the_check_that_the_settings_name_takes_a_door_that_is_open_to_others(tmp_path: Path):
    text = (OPS / "package" / "serve.toml").read_text()
    line = re.search(r"sudo assay (serve .* --check) && sudo systemctl restart assay", text)[1]
    (tmp_path / "serve.toml").write_text(text.replace('"127.0.0.1:8080"', '"0.0.0.0:8443"'))
    run(ASSAY_BIN, "keys", "create", "app", "--scope", "feedback", "--data", tmp_path / "data")
    run(ASSAY_BIN, *line.replace("/etc/assay", str(tmp_path)).replace("/var/lib/assay", str(tmp_path / "data")).split())


def test_a_workers_unit_says_only_what_its_environment_may_say_otherwise():
    lines = (OPS / "systemd" / "assay-worker@.service").read_text().splitlines()
    command = next(line for line in lines if line.startswith("ExecStart="))
    assert "--admin-listen" not in command and "--instance-id" not in command, "a flag would overrule /etc/default/assay-worker-N"
    said = next(line for line in lines if line.startswith("Environment=")).removeprefix("Environment=").replace("%i", "3").replace("%H", "host").split()
    env = {"PATH": os.environ["PATH"]} | dict(one.split("=") for one in said)
    checked = run(ASSAY_BIN, "worker", "--kafka", "127.0.0.1:9092", "--check", env=env)
    assert 'instance-id = "host-3"' in checked and 'admin-listen = "127.0.0.1:9103"' in checked
    own = env | {"ASSAY_INSTANCE_ID": "", "ASSAY_LEAVE_ON_STOP": "true"}  # as an EnvironmentFile may say
    assert "leave-on-stop = true" in run(ASSAY_BIN, "worker", "--kafka", "127.0.0.1:9092", "--check", env=own)


def test_background_threads_may_stand_back_in_a_unit():
    for unit in (OPS / "systemd").glob("*.service"):
        filters = [line.split("=", 1)[1] for line in unit.read_text().splitlines() if line.startswith("SystemCallFilter=")]
        denied = next(n for n, one in enumerate(filters) if one.startswith("~") and "@resources" in one)  # setpriority is one of them
        assert {"setpriority", "sched_setscheduler"} <= set(" ".join(filters[denied + 1 :]).split()), unit.name


def test_alerts_are_well_formed_and_fire_when_they_should():
    run("promtool", "check", "rules", OPS / "prometheus" / "assay.rules.yml")
    run("promtool", "test", "rules", "assay.rules.test.yml", cwd=OPS / "prometheus")
    rules = yaml.safe_load((OPS / "prometheus" / "assay.rules.yml").read_text())["groups"][0]["rules"]
    tested = {case["alertname"] for test in yaml.safe_load((OPS / "prometheus" / "assay.rules.test.yml").read_text())["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert {rule["alert"] for rule in rules if "alert" in rule} == tested, "every alert has a test in which it fires"


def headings() -> set[str]:
    """The anchors of ops/runbook.md, as a reader's browser makes them."""
    return {re.sub(r"[^\w -]", "", line.lstrip("# ").strip().lower()).replace(" ", "-") for line in (OPS / "runbook.md").read_text().splitlines() if line.startswith("#")}


def test_every_alert_names_a_chapter_of_the_runbook():
    rules = yaml.safe_load((OPS / "prometheus" / "assay.rules.yml").read_text())["groups"][0]["rules"]
    assert {rule["labels"]["runbook"] for rule in rules if "alert" in rule} - headings() == set()


@pytest.mark.parametrize("config", ["prometheus/prometheus.yml", "prometheus/kubernetes.yml", "compose/prometheus.yml"])
def test_prometheus_takes_the_example(config: str, tmp_path: Path):
    # The rules stand beside the file where it is used; a key is mounted.
    shutil.copy(OPS / "prometheus" / "assay.rules.yml", tmp_path)
    (tmp_path / "key").write_text("secret")
    text = (OPS / config).read_text().replace("/etc/prometheus/assay/key", str(tmp_path / "key")).replace("# authorization: {credentials_file: /etc/prometheus/assay.key}", f"authorization: {{credentials_file: {tmp_path}/key}}")
    found_by = "kubernetes_sd_configs: [{role: pod, namespaces: {names: [assay]}}]"  # which Debian's promtool does not know
    (tmp_path / "prometheus.yml").write_text(text.replace(found_by, "static_configs: [{targets: [pod]}]"))
    run("promtool", "check", "config", tmp_path / "prometheus.yml")
    jobs = {job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]}
    assert "assay-worker" in jobs and all(job.startswith("assay") for job in jobs), "the rules and the dashboard ask for these"


def test_pod_monitors_find_the_pods_and_name_the_jobs():
    pods = {m["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: m["spec"]["template"] for m in manifests() if m["kind"] == "StatefulSet"}
    monitors = list(yaml.safe_load_all((OPS / "prometheus" / "pod-monitors.yaml").read_text()))
    assert {monitor["metadata"]["name"] for monitor in monitors} == {f"assay-{component}" for component in pods}
    for monitor in monitors:
        labels = monitor["spec"]["selector"]["matchLabels"]
        pod = pods[labels["app.kubernetes.io/component"]]
        endpoint = monitor["spec"]["podMetricsEndpoints"][0]
        assert labels == pod["metadata"]["labels"] and endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": monitor["metadata"]["name"]}]


def test_a_key_of_scope_read_is_what_prometheus_needs(assay, tmp_path: Path):
    assert run_assay("keys", "create", "app", "--scope", "feedback", "--keys", str(tmp_path / "keys.json")).returncode == 0
    key = run_assay("keys", "create", "prometheus", "--scope", "read", "--keys", str(tmp_path / "keys.json")).stdout.strip()
    door = assay("serve", "--keys", str(tmp_path / "keys.json"), "--require-keys")
    assert door.http.get("/metrics").status_code == 401
    assert door.http.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_metrics_are_what_promtool_calls_clean(assay):
    server = assay("serve")
    server.http.post("/feedback", params={"client_request_id": "req-1"}, json={"is_correct": True}).raise_for_status()
    text = server.http.get("/metrics").text
    run("promtool", "check", "metrics", input=text)
    assert "process_resident_memory_bytes " in text and 'assay_build_info{version="' in text


def test_dashboard_asks_only_for_metrics_that_are_there(assay):
    board = json.loads((OPS / "grafana" / "assay.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["targets"] and all(target["expr"] for target in panel["targets"]), panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    # An expression that Prometheus can't parse shows as an empty panel: let promtool read each of them as a rule.
    exprs = [target["expr"].replace("$job", "assay.*").replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]
    rules = {"groups": [{"name": "dashboard", "rules": [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(exprs)]}]}
    run("promtool", "check", "rules", "/dev/stdin", input=yaml.safe_dump(rules))


KUBERNETES = ["namespace.yaml", "config.yaml", "topics.yaml", "ingest.yaml", "worker.yaml"]


def test_kubernetes_manifests_fit_the_schemas(tmp_path: Path):
    import sys

    tool = Path(sys.executable).parent / "kubernetes-validate"
    for version in ("1.29.0", "1.37.0"):
        said = run(tool, "--strict", "-k", version, *(OPS / "kubernetes" / name for name in KUBERNETES))
        assert "WARN" not in said and "ERROR" not in said
    # The tool does refuse what is wrong.
    wrong = (OPS / "kubernetes" / "worker.yaml").read_text().replace("serviceName:", "serviceNme:", 1)
    (tmp_path / "wrong.yaml").write_text(wrong)
    assert subprocess.run([tool, "--strict", tmp_path / "wrong.yaml"], capture_output=True).returncode != 0


def manifests() -> list[dict]:
    return [document for path in sorted((OPS / "kubernetes").glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]


def test_kubernetes_manifests_agree_with_each_other_and_with_the_program(tmp_path: Path):
    # The secret that ingest.yaml mounts, made as it says.
    run(ASSAY_BIN, "keys", "create", "app", "--scope", "feedback", "--data", tmp_path)
    run(ASSAY_BIN, "keys", "rotate-capabilities", "--data", tmp_path)
    of_kind = {}
    for document in manifests():
        of_kind.setdefault(document["kind"], []).append(document)
    files = {path.name for path in (OPS / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(of_kind["Kustomization"][0]["resources"]) == files
    sets = {s["metadata"]["name"]: s for s in of_kind["StatefulSet"]}
    assert set(sets) == {"assay-ingest", "assay-worker"}
    for name, stateful in sets.items():
        labels = stateful["spec"]["template"]["metadata"]["labels"]
        assert stateful["spec"]["selector"]["matchLabels"] == labels
        assert any(pdb["spec"]["selector"]["matchLabels"] == labels for pdb in of_kind["PodDisruptionBudget"]), name
        assert stateful["spec"]["volumeClaimTemplates"], f"{name} keeps its data"
        container = stateful["spec"]["template"]["spec"]["containers"][0]
        args = [arg.replace("$(POD_NAME)", "assay-0").replace("/etc/assay/keys", str(tmp_path)) for arg in container["args"]]
        # The program takes these arguments and these variables.
        variables = next(c["data"] for c in of_kind["ConfigMap"])
        variables = variables | {one["name"]: one["value"] for one in container["env"] if "value" in one}
        run(ASSAY_BIN, *args, "--check", env={"PATH": os.environ["PATH"]} | variables)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert any(arg.endswith(f":{ports['http']}") for arg in args)
    assert "replicas" not in sets["assay-worker"]["spec"], "the ScaledObject's to say"
    pods = [stateful["spec"]["template"]["spec"] for stateful in sets.values()] + [job["spec"]["template"]["spec"] for job in of_kind["Job"]]
    properties = re.search(r"ASSAY_KAFKA_PROPERTIES: (\S+)/properties", (OPS / "kubernetes" / "config.yaml").read_text())
    for pod in pods:
        where = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        secrets = {where[volume["name"]]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
        assert properties and secrets[properties[1]] == {"secretName": "assay-kafka", "optional": True, "defaultMode": 0o440}
        assert pod["securityContext"]["fsGroup"] == 10001, "who reads it is not root"
    assert all("ttlSecondsAfterFinished" in job["spec"] for job in of_kind["Job"]), "a Job that stays can't be applied with another image"
    # KEDA: its schema is in no registry that we reach, so what it means here is checked by hand.
    scaled = of_kind["ScaledObject"][0]
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    assert scaled["spec"]["scaleTargetRef"]["name"] in sets
    partitions = next(job for job in of_kind["Job"])["spec"]["template"]["spec"]["containers"][0]["args"]
    assert scaled["spec"]["maxReplicaCount"] == int(partitions[partitions.index("--partitions") + 1])
    trigger = scaled["spec"]["triggers"][0]
    assert trigger["type"] == "kafka" and {"bootstrapServers", "consumerGroup", "topic", "lagThreshold"} <= set(trigger["metadata"])
    assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA takes metadata as strings"
    down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 600, "scales down slowly"


def test_compose_file_fits_the_specification_and_the_program():
    options = compose_spec.PyOptions()
    options.apply_merge = True
    text = (OPS / "compose" / "compose.yaml").read_text()
    options.from_yaml(text).validate()
    wrong = yaml.safe_load(text)
    wrong["services"]["kafka"]["imagee"] = "x"
    with pytest.raises(ValueError, match="imagee"):
        options.from_yaml(yaml.safe_dump(wrong)).validate()

    services = yaml.safe_load(text)["services"]
    volumes = yaml.safe_load(text)["volumes"]
    kafka = services["kafka"]
    assert kafka["volumes"] == [f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}"], "what it keeps is on the volume"
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert other in services
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in volumes or (OPS / "compose" / source).resolve().is_file(), f"{name}: {volume}"
        if service["image"] == "assay" and name != "topics":
            run(ASSAY_BIN, *service["command"], "--check", env={"PATH": os.environ["PATH"]})


def maintainer_script(name: str, *args: str, home: Path) -> tuple[str, list[str]]:
    """Runs it on a machine where these units run, and worker 2 does not come up again: what it said, and what it asked of systemctl."""
    running = "assay.service assay-ingest.service assay-worker@1.service assay-worker@2.service"
    (home / "systemctl").write_text(f"""#!/bin/bash
echo "$*" >> {home}/asked
case "$1" in
  list-units) for unit in {running}; do [[ $unit == ${{@: -1}} ]] && echo "$unit loaded active running"; done; exit 0 ;;
  restart) [ "$2" != assay-worker@2.service ] ;;
  show) case "$* $(grep -c "show.*$4" {home}/asked)" in *"worker@1.service "[12] | *ingest*) echo "not ready: log: …" ;; *) echo ready ;; esac ;;
  is-active) [ "$3" != assay-ingest.service ] ;;
  disable) shift; PATH={os.environ["PATH"]} exec systemctl --root={home} disable "$@" ;;
esac
""")
    (home / "systemctl").chmod(0o755)
    script = (OPS / "package" / name).read_text().replace("/run/systemd/system", str(home))
    said = run("sh", "-c", script, name, *args, env={"PATH": f"{home}:{os.environ['PATH']}"})
    return said, (home / "asked").read_text().splitlines()


def test_an_upgrade_restarts_workers_before_doors_and_outlives_one_that_does_not_start(tmp_path: Path):
    said, asked = maintainer_script("postinst", "configure", "0.0.1", home=tmp_path)
    restarted = [line.split()[1] for line in asked if line.startswith("restart")]
    assert restarted == ["assay-worker@1.service", "assay-worker@2.service", "assay-ingest.service", "assay.service"]
    assert "assay-worker@2.service did not start again" in said
    shown = [n for n, line in enumerate(asked) if line.startswith("show") and line.endswith("worker@1.service")]
    assert len(shown) == 3 and shown[-1] < asked.index("restart assay-worker@2.service"), "the next one waits until it is ready"
    assert "assay-ingest.service was started and is not ready" in said, "it has ended: nobody waits for it"


def test_a_removal_disables_every_instance(tmp_path: Path):
    shutil.copytree(OPS / "systemd", tmp_path / "lib/systemd/system")
    units = ("assay.service", "assay-worker@1.service", "assay-worker@7.service")
    run("systemctl", f"--root={tmp_path}", "enable", *units)
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert {link.name for link in wanted.iterdir()} == set(units)
    _, asked = maintainer_script("prerm", "remove", home=tmp_path)
    assert not wanted.exists() or not list(wanted.iterdir())
    assert any(line.startswith("stop") and "assay-worker@*.service" in line for line in asked)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_keys_that_root_makes_belong_to_whom_the_directory_belongs_to(tmp_path: Path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.write_text("root's own")
    os.chown(data, 65534, 65534)
    (data / "api-keys.json.new").symlink_to(elsewhere)  # root follows no link that the directory's owner has put there
    run(ASSAY_BIN, "keys", "create", "app", "--scope", "feedback", "--data", data)
    run(ASSAY_BIN, "keys", "rotate-capabilities", "--data", data)
    names = {"api-keys.json", "api-keys.json.lock", "capability-keys.json", "capability-keys.json.lock"}
    assert {path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in data.iterdir()} == {name: (65534, 0o600) for name in names}
    assert elsewhere.read_text() == "root's own" and elsewhere.stat().st_uid == 0


def test_a_package_without_dependencies_is_not_made(tmp_path: Path):
    for tool in ("bash", "dirname"):  # a machine with hardly anything
        (tmp_path / tool).symlink_to(shutil.which(tool))
    made = subprocess.run([OPS / "package" / "build", tmp_path / "out"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert made.returncode == 1 and "file is missing" in made.stderr, made
    (tmp_path / "file").symlink_to("/bin/true")
    made = subprocess.run([OPS / "package" / "build", tmp_path / "out"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert made.returncode == 1 and "dpkg-shlibdeps is missing" in made.stderr, made


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("package")
    run(OPS / "package" / "build", into)
    return next(into.glob("assay_*.deb"))


def test_the_package_is_as_debian_wants_it_and_its_file_for_secrets_is_roots_alone(package: Path):
    listed = run("dpkg-deb", "--contents", package)
    assert re.search(r"^-rw------- root/root .* \./etc/default/assay$", listed, re.M), listed
    assert "/etc/default/assay" in run("dpkg-deb", "--info", package, "conffiles").splitlines(), "what was written there outlives an upgrade"
    names = set(re.findall(r"ASSAY_\w+(?==)", (OPS / "package" / "default").read_text()))
    known = "".join(path.read_text() for path in (ROOT / "ops/cli").glob("*.cpp"))
    assert len(names) > 5 and not [name for name in names if name not in known]
    if shutil.which("lintian"):
        said = subprocess.run(["lintian", "--allow-root", package], capture_output=True, text=True, timeout=300).stdout
        errors = [line for line in said.splitlines() if line.startswith("E:") and "bogus-mail-host" not in line]  # who publishes it says who he is
        assert errors == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a root of its own needs root")
def test_the_package_installs_into_a_clean_debian_and_runs_there(package: Path, tmp_path: Path):
    assert re.fullmatch(r"assay_[\w.]+_\w+\.deb", package.name)
    root = tmp_path / "root"
    hooks = "/usr/share/mmdebstrap/hooks/file-mirror-automount"
    run("mmdebstrap", "--quiet", "--mode=root", "--variant=essential", f"--hook-dir={hooks}", f"--include={package}", "bookworm", root)
    try:
        assert run("chroot", root, "assay", "--version").startswith("assay ")
        for unit in ("serve", "ingest", "worker"):
            run("chroot", root, "assay", unit, "--config", f"/etc/assay/{unit}.toml", "--check")
        said = run("chroot", root, "dpkg", "--verify", "assay")
        assert said.strip() == "", "what was installed is what was packed"
        listed = run("chroot", root, "dpkg", "-L", "assay")
        for path in ("/usr/bin/assay", "/lib/systemd/system/assay.service", "/usr/share/doc/assay/runbook.md", "/usr/share/doc/assay/copyright"):
            assert path in listed.splitlines()
        documents = root / "usr/share/doc/assay"
        links = [(document, link) for document in documents.rglob("*.md") for link in re.findall(r"\]\(([\w/.-]+)(?:#[\w-]*)?\)", document.read_text())]
        assert len(links) > 5 and [link for link in links if not (link[0].parent / link[1]).is_file()] == []
        # It serves, as an ordinary user, from nothing but what the package brought.
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                ["chroot", "--userspec=nobody:nogroup", root, "assay", "serve", "--listen", f"127.0.0.1:{port}", "--data", "/tmp/data"], stdout=log, stderr=log
            )
        try:
            deadline = time.monotonic() + 60
            import httpx

            while True:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                    time.sleep(0.05)
            said = httpx.post(f"http://127.0.0.1:{port}/feedback?client_request_id=req-1", json={"is_correct": True}, trust_env=False)
            assert said.status_code == 202 and said.headers["Assay-Durability"] == "disk"
        finally:
            process.terminate()
            assert process.wait(30) == 0
        run("chroot", root, "dpkg", "--purge", "assay")
        assert not (root / "usr/bin/assay").exists() and not (root / "etc/assay").exists()
    finally:
        shutil.rmtree(root, ignore_errors=True)
