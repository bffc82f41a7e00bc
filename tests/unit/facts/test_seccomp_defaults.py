from __future__ import annotations

from support.filters import captured

from isoaudit.facts.dangerous_calls import ALL, open_calls
from isoaudit.facts.seccomp_defaults import defaults, nearest_defaults
from isoaudit.facts.seccomp_programs import allowed_calls
from isoaudit.kernel import calls
from isoaudit.kernel.capability import OCI_DEFAULT, bit


def differences(name: str, capabilities: int = OCI_DEFAULT) -> list[str]:
    allowed, _ = allowed_calls((captured(name),), "x86_64")
    return [str(one) for one in nearest_defaults(allowed, "x86_64", capabilities)]


def test_real_filters_are_their_engine_s_defaults() -> None:
    assert differences("docker-20.10.24")[0] == "Docker 20.10's default"
    assert differences("podman-4.3.1")[0] == "Podman 4.3's default"


def test_the_other_engine_comes_with_what_differs() -> None:
    _, podman = differences("docker-20.10.24")
    assert podman.startswith("Podman 4.3's default and ")
    assert "io_uring_setup" in podman
    assert "without clone3, " in podman


def test_engines_let_through_what_a_capability_needs() -> None:
    allowed, _ = allowed_calls((captured("docker-20.10.24"),), "x86_64")
    with_time = allowed | {"clock_settime", "settimeofday"}
    granted = nearest_defaults(with_time, "x86_64", OCI_DEFAULT | bit("CAP_SYS_TIME"))
    assert str(granted[0]) == "Docker 20.10's default"
    assert str(nearest_defaults(with_time, "x86_64", OCI_DEFAULT)[0]).endswith(
        "and clock_settime, settimeofday"
    )


def test_the_changes_that_are_known_from_release_notes() -> None:
    docker = {one.since: one.allowed for one in defaults() if one.engine == "Docker"}
    assert list(docker) == ["20.10", "23.0", "25.0", "26.0", "29.0", "29.4.2", "29.4.3"]
    assert docker["23.0"] - docker["25.0"] == {"io_uring_setup", "io_uring_enter", "io_uring_register"}
    assert "cachestat" in docker["26.0"] - docker["25.0"]
    assert docker["29.4.3"] - docker["29.4.2"] == {"socketcall"}
    assert all("socket" in allowed for allowed in docker.values())


def test_every_name_is_a_call() -> None:
    for default in defaults():
        assert not {name for name in default.allowed if not calls.exists(name)}, default.since
    assert not {name for name in ALL if not calls.exists(name)}


def test_dangerous_calls_of_real_filters() -> None:
    io_uring = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
    docker = {
        "kcmp",
        "ptrace",
        "process_madvise",
        "process_vm_readv",
        "process_vm_writev",
        "adjtimex",
        "clock_adjtime",
    }
    assert open_calls((captured("docker-20.10.24"),), "x86_64") - io_uring <= docker
    assert io_uring <= open_calls((captured("docker-20.10.24"),), "x86_64")
    assert {"unshare", "clone", "clone3", "mount", "keyctl"} <= open_calls(
        (captured("podman-4.3.1"),), "x86_64"
    )
