"""Times one native test container against `unshare -fpmuin true`, in alternate pairs; prints JSON.

Usage: spawn.py PAIRS
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Measure and print the seconds of each."""
    from isoaudit.probes.cgroups import RunCgroups
    from isoaudit.probes.engines import native
    from isoaudit.probes.twin import Confinement

    confinement = Confinement(frozenset({"pid", "mnt", "uts", "ipc", "net"}))
    ours, theirs = [], []
    with RunCgroups(()) as run:
        for number in range(int(sys.argv[1]) + 1):
            start = time.perf_counter()
            container = native.start(
                confinement,
                run.group(f"bench-{number}"),
                lambda channel: channel.say({"here": True}),
                register=lambda _: None,
            )
            heard, _ = container.hear()
            container.end()
            middle = time.perf_counter()
            child = os.posix_spawnp("unshare", ["unshare", "-fpmuin", "true"], os.environ)
            _, status = os.waitpid(child, 0)
            end = time.perf_counter()
            if heard != [{"here": True}] or status:
                sys.exit(f"no pair: test container said {heard}, unshare ended with {status}")
            if number:  # the first one warms up
                ours.append(middle - start)
                theirs.append(end - middle)
    sys.stdout.write(json.dumps({"ours": ours, "theirs": theirs}))


main()
