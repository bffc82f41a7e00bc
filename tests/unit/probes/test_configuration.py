from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from isoaudit.errors import UsageError
from isoaudit.kernel import capability, credentials
from isoaudit.probes import bundle, compose, documents, pod, profiles, settings
from isoaudit.probes.configuration import Bind, Configuration, Device, Ulimit, parse_device, parse_size
from isoaudit.probes.flags import parse_flags


@pytest.fixture(autouse=True)
def _all_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "permitted", lambda: (1 << 41) - 1)


# -- flags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Configuration()),
        ("--cap-add SYS_TIME", Configuration(cap_add=("CAP_SYS_TIME",))),
        ("--cap-add=cap_sys_time,MKNOD", Configuration(cap_add=("CAP_SYS_TIME", "CAP_MKNOD"))),
        ("--cap-drop ALL", Configuration(cap_drop=("ALL",))),
        ("--privileged", Configuration(privileged=True)),
        ("--privileged=false", Configuration()),
        ("-u 1000:1000 --read-only", Configuration(user="1000:1000", read_only=True)),
        ("-u1000", Configuration(user="1000")),
        ("--security-opt no-new-privileges", Configuration(no_new_privs=True)),
        ("--security-opt no-new-privileges:false", Configuration(no_new_privs=False)),
        ("--security-opt seccomp=unconfined", Configuration(seccomp="unconfined")),
        ("--security-opt=systempaths=unconfined", Configuration(unmasked=True)),
        ("--net host --pid=host", Configuration(network="host", pid="host")),
        ("-m 512m --cpus 0.5 --pids-limit 9", Configuration(memory=512 << 20, cpus=0.5, pids=9)),
        ("--memory-swap -1", Configuration(memory_swap=-1)),
        ("-v /:/host:ro,rslave", Configuration(binds=(Bind("/", "/host", ("ro", "rslave")),))),
        ("--device /dev/fuse", Configuration(devices=(Device("/dev/fuse", "/dev/fuse"),))),
        ("--device-cgroup-rule 'c 10:200 rwm'", Configuration(device_rules=("c 10:200 rwm",))),
        ("--ulimit nofile=10:20", Configuration(ulimits=(Ulimit("nofile", 10, 20),))),
        ("--sysctl net.ipv4.ip_forward=1", Configuration(sysctls=(("net.ipv4.ip_forward", "1"),))),
        ("--cpu-quota 5000", Configuration(others=("--cpu-quota=5000",))),
        ("--oom-kill-disable", Configuration(others=("--oom-kill-disable",))),
    ],
)
def test_flags_are_read_and_written_again(text: str, expected: Configuration) -> None:
    asked = parse_flags(text)
    assert asked == expected
    again = parse_flags(" ".join(f"'{flag}'" for flag in asked.flags()))
    assert again == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--cap-addd SYS_TIME", "unknown flag '--cap-addd'"),
        ("busybox", "not a flag"),
        ("--name x", "unknown flag '--name'"),
        ("--cap-add", "--cap-add needs a value"),
        ("--cap-add FOO", "no capability 'FOO'"),
        ("--pid container:web", "never done"),
        ("--privileged=perhaps", "use true or false"),
        ("-v data:/data", "no volume is made"),
        ("--memory much", "'much' is no size"),
        ("--cpus many", "'many' is no number"),
        ("--security-opt foo=bar", "no security option"),
        ("--ulimit nofile", "is no limit"),
        ("--sysctl foo", "NAME=VALUE"),
        ("--device fuse", "is no device"),
        ("--user 'x", "No closing quotation"),
    ],
)
def test_bad_flags_are_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_flags(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_flags_go_over_what_is_asked_for_already() -> None:
    start = Configuration(cap_drop=("ALL",), user="1000")
    assert parse_flags("--cap-add MKNOD -u 0", start) == start._replace(cap_add=("CAP_MKNOD",), user="0")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1b", 1),
        ("2k", 2048),
        ("1.5m", 3 << 19),
        ("3GB", 3 << 30),
        ("4GiB", 4 << 30),
        ("5 M", 5 << 20),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "") == size


def test_devices_with_an_access_and_without() -> None:
    assert parse_device("/dev/sda:r", "") == Device("/dev/sda", "/dev/sda", "r")
    assert parse_device("/dev/sda:/dev/xvda:rw", "") == Device("/dev/sda", "/dev/xvda", "rw")


# -- bundles


def with_flags(text: str, **changes: Any) -> dict[str, Any]:
    made, _ = settings.with_configuration(bundle.defaults(), parse_flags(text)._replace(**changes))
    return made


def kinds(document: dict[str, Any]) -> set[str]:
    return {one["type"] for one in document["linux"]["namespaces"]}


def test_a_bundle_with_a_capability_more_and_one_less() -> None:
    made = with_flags("--cap-add SYS_TIME --cap-drop KILL")["process"]["capabilities"]
    assert made["effective"] == ["CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE", "CAP_SYS_TIME"]


def test_a_bundle_without_all_capabilities_but_one() -> None:
    made = with_flags("--cap-drop ALL --cap-add SYS_TIME")["process"]["capabilities"]
    assert made["bounding"] == ["CAP_SYS_TIME"]
    assert set(with_flags("--cap-add ALL")["process"]["capabilities"]["bounding"]) == {*capability.NAMES}


def test_a_privileged_bundle_has_no_wall_but_its_namespaces() -> None:
    made = with_flags("--privileged")
    assert set(made["process"]["capabilities"]["effective"]) == {*capability.NAMES}
    assert made["linux"]["maskedPaths"] == made["linux"]["readonlyPaths"] == []
    assert made["process"]["noNewPrivileges"] is False
    assert made["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert kinds(made) == {"pid", "network", "ipc", "uts", "mount"}


def test_a_bundle_in_the_hosts_namespaces() -> None:
    assert kinds(with_flags("--pid host --network host --ipc host --uts host")) == {"mount"}
    assert "cgroup" in kinds(with_flags("--cgroupns private"))


def test_a_bundle_with_limits() -> None:
    resources = with_flags("-m 64m --cpus 0.5 --pids-limit 9 -c 512 --cpuset-cpus 0")["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert resources["cpu"] == {"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0"}
    assert resources["pids"] == {"limit": 9}


def test_a_bundle_with_mounts_devices_and_a_user() -> None:
    made = with_flags("-v /etc:/x:ro --tmpfs /run:size=1m --device /dev/null:/dev/n:r -u 7:8")
    assert made["mounts"] == [
        {"destination": "/x", "type": "bind", "source": "/etc", "options": ["rbind", "ro"]},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=1m"]},
    ]
    assert made["linux"]["devices"][0]["path"] == "/dev/n"
    assert made["linux"]["resources"]["devices"][-1] == {
        "allow": True,
        "type": "c",
        "major": 1,
        "minor": 3,
        "access": "r",
    }
    assert made["process"]["user"] == {"uid": 7, "gid": 8}


def test_what_a_bundle_cannot_say_is_said() -> None:
    asked = parse_flags("--cpu-quota 9 -u nginx --userns keep-id --security-opt label=disable")
    _, notices = settings.with_configuration(bundle.defaults(), asked)
    for part in ("--cpu-quota=9", "user 'nginx'", "--userns=keep-id", "label=disable"):
        assert any(part in notice for notice in notices), part


def test_a_device_rule_that_is_none() -> None:
    with pytest.raises(UsageError, match="is no rule"):
        with_flags("--device-cgroup-rule nonsense")


def test_over_an_engine_a_bundle_starts_from_what_engines_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_PROFILE", "/no/such/file")
    made, notices = settings.with_configuration(bundle.defaults(), Configuration(over_engine=True))
    assert capability.mask(*made["process"]["capabilities"]["effective"]) == capability.OCI_DEFAULT
    assert made["process"]["noNewPrivileges"] is False
    assert made["root"]["readonly"] is False
    assert any("no default profile" in notice for notice in notices)


def test_a_strange_bundle_is_made_harmless(tmp_path: Path) -> None:
    document = bundle.defaults()
    document["hooks"] = {"prestart": [{"path": "/bin/sh"}]}
    document["root"] = {"path": "/their/root"}
    document["linux"]["intelRdt"] = {"closID": "x"}
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}
    document["linux"]["namespaces"] = [
        {"type": "network", "path": "/no/such/namespace"},
        {"type": "pid", "path": "/proc/1/ns/pid"} if os.geteuid() == 0 else {"type": "mount"},
    ]
    document["mounts"] = [
        {"destination": "/a", "source": "/no/such/path", "options": ["rbind"]},
        {"destination": "/b", "source": str(tmp_path), "type": "bind"},
    ]
    made, notices = bundle.harmless(document)
    assert "hooks" not in made
    assert "intelRdt" not in made["linux"]
    assert made["linux"]["seccomp"] == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert {"type": "network"} in made["linux"]["namespaces"]
    assert not any("path" in one for one in made["linux"]["namespaces"])
    assert [mount["destination"] for mount in made["mounts"]] == ["/b"]
    assert made["root"] == {"path": "rootfs", "readonly": False}
    for part in ("hooks", "intelRdt", "listener", "/no/such/namespace", "/no/such/path"):
        assert any(part in notice for notice in notices), part
    assert document["hooks"], "what was given is left as it is"


def test_a_bundle_asks_for_no_more_than_root_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "permitted", lambda: capability.OCI_DEFAULT)
    monkeypatch.setattr("resource.getrlimit", lambda _: (100, 100))
    document = bundle.defaults()
    document["process"]["capabilities"]["bounding"] = ["CAP_KILL", "CAP_SYS_ADMIN", "CAP_OF_TOMORROW"]
    document["process"]["oomScoreAdj"] = -5
    made, notices = bundle.fitted(document, "/run/one", "run")
    process = made["process"]
    assert process["capabilities"]["bounding"] == ["CAP_KILL"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]
    assert process["oomScoreAdj"] == 0
    assert process["args"] == ["/isoaudit-sleep", "run"]
    assert made["linux"]["cgroupsPath"] == "/run/one"
    assert any("CAP_OF_TOMORROW, CAP_SYS_ADMIN" in notice for notice in notices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"process":\n}', "line 2"),
        ("[]", "no process"),
        ('{"process": {}}', "no `linux`"),
        ("\xff", "line 1"),
    ],
)
def test_broken_bundles(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        bundle.load(str(tmp_path))


def test_in_the_hosts_uts_namespace_no_name_is_set() -> None:
    for text, name in (("", "isoaudit"), ("--uts host", None)):
        made, _ = bundle.fitted(with_flags(text), "", "")
        assert made.get("hostname") == name


def test_a_bundle_built_wrong(tmp_path: Path) -> None:
    for broken in ({"capabilities": ["CAP_KILL"]}, {"user": 5, "capabilities": {"bounding": 5}}):
        document = bundle.defaults()
        document["process"].update(broken)
        with pytest.raises(UsageError, match="a broken bundle"):
            bundle.harmless(document)


def test_a_profile_is_resolved_by_capability_kernel_and_architecture(tmp_path: Path) -> None:
    rules = [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["chown"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_KILL"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
        {"names": ["foreign"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}))
    made = profiles.profile(str(tmp_path / "p.json"), ["CAP_KILL"])
    assert [rule["names"] for rule in made["syscalls"]] == [["read"], ["ptrace"]]
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(UsageError, match="not a profile"):
        profiles.profile(str(tmp_path / "p.json"), [])
    with pytest.raises(UsageError, match="No such file"):
        profiles.profile(str(tmp_path / "q.json"), [])


# -- Compose


def service(tmp_path: Path, **fields: Any) -> tuple[Configuration, tuple[str, ...]]:
    path = tmp_path / "compose.json"
    path.write_text(json.dumps({"services": {"web": fields}}))
    (wanted,) = compose.services(str(path), "web")
    return wanted.configuration, wanted.notices


def test_a_hardened_service(tmp_path: Path) -> None:
    asked, notices = service(
        tmp_path,
        image="nginx",
        cap_drop=["ALL"],
        cap_add=["NET_BIND_SERVICE"],
        read_only=True,
        user="1000:1000",
        security_opt=["no-new-privileges:true", "apparmor=docker-default", "seccomp:own.json"],
        deploy={"resources": {"limits": {"memory": "64M", "cpus": "0.5", "pids": 9}}},
        tmpfs="/run",
        ulimits={"nproc": 5, "nofile": {"soft": 1, "hard": 2}},
        sysctls=["net.core.somaxconn=1024"],
    )
    assert asked == Configuration(
        over_engine=True,
        cap_drop=("ALL",),
        cap_add=("CAP_NET_BIND_SERVICE",),
        read_only=True,
        user="1000:1000",
        no_new_privs=True,
        apparmor="docker-default",
        seccomp=str(tmp_path / "own.json"),
        memory=64 << 20,
        cpus=0.5,
        pids=9,
        tmpfs=("/run",),
        ulimits=(Ulimit("nproc", 5, 5), Ulimit("nofile", 1, 2)),
        sysctls=(("net.core.somaxconn", "1024"),),
    )
    assert notices == ()


def test_an_open_service(tmp_path: Path) -> None:
    asked, notices = service(
        tmp_path,
        privileged=True,
        pid="host",
        ipc="shareable",
        network_mode="host",
        uts="host",
        userns_mode="host",
        cgroup="host",
        mem_limit="1g",
        memswap_limit=-1,
        cpus=2,
        pids_limit=5,
        devices=["/dev/fuse:/dev/fuse:rw", {"source": "/dev/kvm"}],
        device_cgroup_rules=["c 1:3 rwm"],
        volumes=[
            "/:/host:ro",
            "./here:/there",
            {"type": "bind", "source": "/a", "target": "/b", "read_only": True},
        ],
        group_add=[5],
    )
    assert asked.flags()[:1] == ("--privileged",)
    assert (asked.pid, asked.ipc, asked.network, asked.uts) == ("host", "shareable", "host", "host")
    assert (asked.userns, asked.cgroupns) == ("host", "host")
    assert (asked.memory, asked.memory_swap, asked.cpus, asked.pids) == (1 << 30, -1, 2.0, 5)
    assert asked.devices == (Device("/dev/fuse", "/dev/fuse", "rw"), Device("/dev/kvm", "/dev/kvm"))
    assert asked.binds == (
        Bind("/", "/host", ("ro",)),
        Bind(str(tmp_path / "here"), "/there"),
        Bind("/a", "/b", ("ro",)),
    )
    assert asked.groups == ("5",)
    assert notices == ()


def test_what_of_a_service_is_not_followed_is_said(tmp_path: Path) -> None:
    asked, notices = service(
        tmp_path,
        extends={"service": "base"},
        ports=["80:80"],
        frobnicate=1,
        user="nginx",
        pid="service:db",
        mem_limit="${LIMIT}",
        volumes=["data:/data"],
        group_add=["audio"],
    )
    text = "\n".join(notices)
    for part in ("extends, frobnicate, ports", "user nginx", "pid service:db", "${LIMIT}", "data", "audio"):
        assert part in text, part
    assert asked == Configuration(over_engine=True, user="65534")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"services": {"db": {}}}, "no service 'web', only db"),
        ({"services": {}}, "it has no services"),
        ({"services": []}, "must be a mapping"),
        ({"services": {"web": {"cap_add": "ALL"}}}, "cap_add: must be a list"),
        ({"services": {"web": {"cap_add": ["X"]}}}, "no capability 'X'"),
        ({"services": {"web": {"privileged": "yes"}}}, "must be true or false"),
        ({"services": {"web": {"mem_limit": "lots"}}}, "mem_limit: 'lots' is no size"),
    ],
)
def test_bad_compose_files(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        compose.services(str(tmp_path / "c.json"), "web")


# -- pods

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pods(tmp_path: Path, *containers: Any, kind: str = "Pod", **spec: Any) -> list[Any]:
    whole: dict[str, Any] = {"containers": list(containers), **spec}
    if kind != "Pod":
        whole = {"template": {"spec": whole}}
    if kind == "CronJob":
        whole = {"jobTemplate": {"spec": whole}}
    path = tmp_path / "pod.json"
    path.write_text(json.dumps({"kind": kind, "metadata": {"name": "it"}, "spec": whole}))
    return [*pod.containers(str(path))]


def test_a_restricted_container(tmp_path: Path) -> None:
    (wanted,) = pods(
        tmp_path,
        {
            "name": "web",
            "securityContext": RESTRICTED,
            "resources": {"limits": {"memory": "128Mi", "cpu": "500m"}},
        },
    )
    assert wanted.name == "web"
    assert wanted.configuration == Configuration(
        over_engine=True,
        cap_drop=("ALL",),
        no_new_privs=True,
        user="65534",
        read_only=True,
        memory=128 << 20,
        memory_swap=128 << 20,
        cpus=0.5,
        cpu_shares=512,
    )


def test_an_open_container(tmp_path: Path) -> None:
    (wanted,) = pods(
        tmp_path,
        {
            "name": "agent",
            "securityContext": {"privileged": True, "procMount": "Unmasked", "runAsUser": 0},
            "volumeMounts": [
                {"name": "root", "mountPath": "/host", "readOnly": True, "mountPropagation": "HostToContainer"},
                {"name": "scratch", "mountPath": "/s"},
                {"name": "token", "mountPath": "/t"},
            ],
        },
        hostPID=True,
        hostNetwork=True,
        hostIPC=True,
        volumes=[
            {"name": "root", "hostPath": {"path": "/"}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "token", "secret": {}},
        ],
    )
    asked = wanted.configuration
    assert asked.privileged
    assert asked.unmasked
    assert (asked.pid, asked.network, asked.ipc, asked.uts) == ("host", "host", "host", "host")
    assert asked.binds == (Bind("/", "/host", ("ro", "rslave")),)
    assert asked.tmpfs == ("/s",)
    assert any("volumes token" in notice for notice in wanted.notices)


def test_a_containers_word_goes_before_its_pods(tmp_path: Path) -> None:
    one, two = pods(
        tmp_path,
        {"name": "one"},
        {"name": "two", "securityContext": {"runAsUser": 7, "seccompProfile": {"type": "Unconfined"}}},
        kind="CronJob",
        securityContext={"runAsUser": 5, "runAsGroup": 6, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    assert (one.configuration.user, one.configuration.seccomp) == ("5:6", "")
    assert (two.configuration.user, two.configuration.seccomp) == ("7:6", "unconfined")


def test_without_a_profile_a_pod_is_unconfined_and_it_is_said(tmp_path: Path) -> None:
    (wanted,) = pods(tmp_path, {"name": "x"}, kind="Deployment")
    assert wanted.configuration.seccomp == "unconfined"
    assert any("seccompProfile is not set" in notice for notice in wanted.notices)
    assert any("runAsUser is not set" in notice for notice in wanted.notices)


def test_what_of_a_pod_is_not_followed_is_said(tmp_path: Path) -> None:
    (wanted,) = pods(
        tmp_path,
        {
            "name": "x",
            "securityContext": {"windowsOptions": {}},
            "volumeDevices": [],
            "resources": {"limits": {"nvidia.com/gpu": 1}},
        },
        shareProcessNamespace=True,
    )
    text = "\n".join(wanted.notices)
    for part in ("shareProcessNamespace", "windowsOptions", "volumeDevices", "nvidia.com/gpu"):
        assert part in text, part


def test_bad_manifests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no quantity"):
        pods(tmp_path, {"name": "x", "resources": {"limits": {"memory": "12XB"}}})
    with pytest.raises(UsageError, match="no container of a pod"):
        pods(tmp_path)
    pods(tmp_path, {"name": "x"})
    with pytest.raises(UsageError, match="no container 'y', only x"):
        pod.containers(str(tmp_path / "pod.json"), "y")


# -- files


def test_yaml_is_read_and_its_faults_have_a_line(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n---\nb: [2]\n")
    assert documents.read(str(path)) == [{"a": 1}, {"b": [2]}]
    path.write_text("a: 1\nb: ]\nc: 2\n")
    with pytest.raises(UsageError, match=r"a\.yaml: line 2"):
        documents.read(str(path))


def test_json_faults_have_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n"a":\n}')
    with pytest.raises(UsageError, match=r"a\.json: line 3"):
        documents.read(str(path))


def test_without_pyyaml_json_is_read_and_yaml_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "a.yaml"
    path.write_text('{"a": 1}')
    assert documents.read(str(path)) == [{"a": 1}]
    path.write_text("a: 1")
    with pytest.raises(UsageError, match=r"isoaudit\[yaml\]"):
        documents.read(str(path))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        documents.read(str(path))
    with pytest.raises(UsageError, match="cannot read"):
        documents.read(str(tmp_path / "b.yaml"))
