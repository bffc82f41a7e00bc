"""Container shares the host's IPC namespace.

## What it detects
The first process of the container is in the IPC namespace of the host's PID 1: the inode of
`/proc/PID/ns/ipc` is the same.

## Why it matters
System V shared memory, semaphores and message queues and POSIX message queues of the host are the container's
too. Under a matching user id it reads and changes them; anyone inside can use up their host-wide numbers.

## Remediation
Start the container without the host's IPC namespace.

- docker, podman: leave out `--ipc=host`; `--ipc=private` where the daemon's default is another
- compose: remove `ipc: host`
- Kubernetes: `hostIPC: false`
- systemd: `PrivateIPC=yes`; bubblewrap: `--unshare-ipc`

## When it is fine
Programs that exchange data with the host through shared memory by design, such as GPU servers. A directory in
a tmpfs that both mount says more clearly what is shared.

## References
- ipc_namespaces(7), sysvipc(7), mq_overview(7)
- CIS Docker Benchmark 1.6.0, 5.17
"""

from isoaudit import Container, Evidence, Host, Outcome, check, fail, passed, require


@check(severity="medium")
def ipc_shared(host: Host, container: Container) -> Outcome:
    ours, theirs = require(host.namespaces.ipc), require(container.namespaces.ipc)
    evidence = [Evidence(container.namespaces.ipc.source, f"ipc:[{theirs}]", f"not the host's ipc:[{ours}]")]
    if ours == theirs:
        return fail(
            "it is in the host's IPC namespace: shared memory, semaphores and queues are common", evidence
        )
    return passed("its IPC namespace is its own", evidence)
