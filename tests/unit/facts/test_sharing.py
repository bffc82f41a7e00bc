from __future__ import annotations

from support.facts import HOST_INODES, OWN_INODES, denied, make_container, make_host, make_identity, namespaces

from isoaudit.audit import peers_of
from isoaudit.facts.container import Container
from isoaudit.facts.namespaces import NO_SUCH_TYPE
from isoaudit.facts.sharing import Shared, sharing
from isoaudit.model import Unknown


def container(key: str, pid: int, **inodes: int) -> Container:
    own = {kind: pid * 10 + rank for rank, kind in enumerate(HOST_INODES)}
    return make_container(
        identity=make_identity(key=key, pid=pid), namespaces=namespaces(pid, **{**own, **inodes})
    )


def test_nothing_is_shared_by_those_apart() -> None:
    assert sharing(make_host(), peers_of([container("a", 100), container("b", 200)])) == ()


def test_with_the_host_comes_first_and_one_is_enough() -> None:
    peers = peers_of(
        [container("a", 100, net=7), container("b", 200, net=7), container("c", 300, uts=HOST_INODES["uts"])]
    )
    assert sharing(make_host(), peers) == (
        Shared("namespace-uts", with_host=True, containers=("c",)),
        Shared("namespace-net", with_host=False, containers=("a", "b")),
    )


def test_what_was_not_read_is_in_no_group() -> None:
    unread = container("a", 100)
    unread = unread._replace(namespaces=unread.namespaces._replace(net=denied()))
    other = container("b", 200)
    other = other._replace(namespaces=other.namespaces._replace(net=denied()))
    assert sharing(make_host(), peers_of([unread, other])) == ()


def test_what_the_kernel_does_not_divide_all_share() -> None:
    old = container("a", 100)
    old = old._replace(namespaces=old.namespaces._replace(time=Unknown("/proc/100/ns/time", NO_SUCH_TYPE)))
    assert sharing(make_host(), peers_of([old])) == (
        Shared("namespace-time", with_host=True, containers=("a",)),
    )


def test_default_docker_containers_share_what_docker_leaves_them() -> None:
    alike = make_container(namespaces=namespaces(4242, **OWN_INODES))
    found = {one.what for one in sharing(make_host(), peers_of([alike])) if one.with_host}
    assert found == {"namespace-cgroup", "namespace-time", "namespace-user"}
