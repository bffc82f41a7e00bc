"""What alike mount tables have in common: containers of one engine have the same mounts but for their ids."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from isoaudit.facts.latest import latest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoaudit.facts.mounts import Mount

T = TypeVar("T")
P = ParamSpec("P")

# The kernel's own filesystems, one for all or one a namespace.
KERNEL = frozenset(
    {
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    }
)
ROOTED = KERNEL - {"cgroup", "cgroup2", "nsfs"}  # roots of these are called after containers and namespaces
_MOST_SHAPES, _MOST_MOUNTS = 64, 256
_shapes: dict[tuple[object, ...], dict[Any, Any]] = {}


def of_shape(
    function: Callable[Concatenate[Sequence[Mount], P], T],
) -> Callable[Concatenate[Sequence[Mount], P], T]:
    """Work out once for all tables of one shape what a function says of one.

    It may go by targets and types, by what is attached to what, by procfs's subset=pid and by the roots of
    filesystems in `ROOTED`; not by numbers, and not by other roots, in which ids stand. So it speaks of mounts
    by their positions in the table.
    """

    @wraps(function)
    def remembered(mounts: Sequence[Mount], /, *arguments: P.args, **keywords: P.kwargs) -> T:
        answers, key = _answers(mounts), (function, *arguments)
        try:
            answer: T = answers[key]
        except KeyError:
            answer = answers[key] = function(mounts, *arguments, **keywords)
        return answer

    return remembered


@latest
def _answers(mounts: Sequence[Mount]) -> dict[Any, Any]:
    position = {mount.id: at for at, mount in enumerate(mounts)}
    # Numbers that are given twice are forged.
    if len(mounts) > _MOST_MOUNTS or len(position) != len(mounts):
        return {}
    shape = tuple(
        [
            (
                mount.target,
                mount.fstype,
                position.get(mount.parent),
                mount.root if mount.fstype in ROOTED else None,
                "subset=pid" in mount.super_options,
            )
            for mount in mounts
        ]
    )
    if len(_shapes) >= _MOST_SHAPES:
        _shapes.clear()
    return _shapes.setdefault(shape, {})
