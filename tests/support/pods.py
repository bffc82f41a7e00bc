"""A kubelet's part in starting pods, by hand: CRI's calls to containerd with messages encoded here.

    python pods.py SOCKET run IMAGE       starts the pods of `PODS`, and prints them as JSON
    python pods.py SOCKET remove ID…      stops and removes pods by their sandboxes' ids

A process of its own, as gRPC's threads and forks of the tests do not get along. Field numbers are those of
cri-api's pkg/apis/runtime/v1/api.proto.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

POD, CONTAINER, NODE = 0, 1, 2  # NamespaceMode
PODS: dict[str, tuple[str, tuple[str, ...]]] = {  # by name: the class of service, and its containers
    "web": ("burstable", ("app", "side")),
    "batch": ("besteffort", ("job",)),
}


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def field(number: int, value: Any) -> bytes:
    """One field: an int is a varint, text and bytes have a length, a dict is a map, a list is repeated."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, list):
        return b"".join(field(number, one) for one in value)
    if isinstance(value, dict):
        return b"".join(field(number, field(1, key) + field(2, one)) for key, one in value.items())
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def first_text(message: bytes) -> str:
    """Field 1 of an answer, which is a text of less than 128 bytes."""
    return message[2 : 2 + message[1]].decode()


class Runtime:
    """A CRI runtime behind a socket."""

    def __init__(self, socket: str) -> None:
        import grpc  # type: ignore[import-untyped,unused-ignore]

        self._channel = grpc.insecure_channel(f"unix://{socket}")

    def call(self, method: str, message: bytes) -> bytes:
        answer: bytes = self._channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}", lambda raw: raw, lambda raw: raw
        )(message, timeout=60)
        return answer

    def run(self, pod: str, image: str) -> dict[str, str]:
        """Start a pod, and give its containers' ids by name; its sandbox is "pause"."""
        service, containers = PODS[pod]
        uid = str(uuid.uuid4())
        labels = {
            "io.kubernetes.pod.name": pod,
            "io.kubernetes.pod.namespace": "default",
            "io.kubernetes.pod.uid": uid,
        }
        namespaces = field(1, POD) + field(2, CONTAINER) + field(3, POD)  # network, pid, ipc
        metadata = field(1, pod) + field(2, uid) + field(3, "default") + field(4, 0)
        linux = field(1, f"/kubepods/{service}/pod{uid}") + field(2, field(1, namespaces))
        sandbox = field(1, metadata) + field(2, pod) + field(6, labels) + field(8, linux)
        started = {"pause": first_text(self.call("RunPodSandbox", field(1, sandbox)))}
        for name in containers:
            # cpu_period, cpu_quota, cpu_shares, memory_limit_in_bytes
            limits = field(1, 100000) + field(2, 50000) + field(3, 512) + field(4, 64 << 20)
            resources = field(1, limits) if service == "burstable" else b""
            config = (
                field(1, field(1, name) + field(2, 0))
                + field(2, field(1, image))
                + field(9, {**labels, "io.kubernetes.container.name": name})
                + field(15, resources + field(2, field(3, namespaces)))
            )
            request = field(1, started["pause"]) + field(2, config) + field(3, sandbox)
            started[name] = first_text(self.call("CreateContainer", request))
            self.call("StartContainer", field(1, started[name]))
        return started

    def remove(self, sandbox: str) -> None:
        self.call("StopPodSandbox", field(1, sandbox))
        self.call("RemovePodSandbox", field(1, sandbox))


def main(socket: str, command: str, *arguments: str) -> None:
    runtime = Runtime(socket)
    if command == "remove":
        for sandbox in arguments:
            runtime.remove(sandbox)
    else:
        json.dump({pod: runtime.run(pod, *arguments) for pod in PODS}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
