"""bundle.py DIR NAME ROOT JSON: an OCI bundle that sleeps, from what `crun spec` makes, with JSON merged into it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        **base,
        **{
            key: merged(base[key], value)
            if isinstance(value, dict) and isinstance(base.get(key), dict)
            else value
            for key, value in changes.items()
        },
    }


folder, name, root, changes = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
folder.mkdir()
subprocess.run(["crun", "spec"], cwd=folder, check=True)
config = merged(
    json.loads((folder / "config.json").read_text()),
    {
        "process": {"terminal": False, "args": ["/bin/sleep", "100000"], "rlimits": []},
        "root": {"path": root, "readonly": True},
        "linux": {"cgroupsPath": f"/made/{name}"},
    },
)
(folder / "config.json").write_text(json.dumps(merged(config, changes)))
