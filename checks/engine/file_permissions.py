"""Others than root may change an engine's files, or read its secrets.

## What it detects
For every engine whose daemon runs as root: its unit files, configuration, program and certificates may be
written or replaced by somebody but root, its private keys read, or its data directory entered. What counts is
the effective permission: a file that everybody may write to below a directory that only root may enter is fine,
and so is stricter than any benchmark; a file of mode 644 in a directory of somebody else's is not, as he puts
another one there. Access control lists are not read: `getfacl` shows them.

## Why it matters
Who writes to a unit, the program or daemon.json is root at the next start. With a key one is the daemon's
client, or its server. In the data directory lie all containers' files, set-user-ID programs among them
(CVE-2021-41091, CVE-2024-25621).

## Remediation
Give the files to root, and take write access, and for keys and data any access, from others.

- `chown root:root FILE; chmod go-w FILE`; keys: `chmod 400 FILE`; data: `chmod 710 /var/lib/docker`

## When it is fine
Files of a configuration management that runs as a user of its own, who is then root as well.

## References
- path_resolution(7)
- CIS Docker Benchmark 1.6.0, section 3
"""

from isoaudit import Evidence, Host, Outcome, check, fail, not_applicable, passed, require
from isoaudit.facts.engines import EngineFile, readers, replacers, shown_owner, writers
from isoaudit.facts.processes import listed
from isoaudit.facts.units import count
from isoaudit.model import FactMissing

_SHOWN = 4
_EXPECTED = {
    "key": "400, of root, below directories of root's",
    "data": "710 or stricter, of root",
}


@check(severity="medium")
def file_permissions(host: Host) -> Outcome:
    files = [file for file in require(host.engine_files) if file.kind != "socket"]
    if not files:
        return not_applicable("no engine that runs as root has files on the host")
    bad: list[tuple[EngineFile, str]] = []
    missing = None
    for file in files:
        try:
            gap = _gap(file)
        except FactMissing as error:
            missing = missing or error
            continue
        if gap:
            bad.append((file, gap))
    if bad:
        shown = [f"{gap} {file.path}" for file, gap in bad[:_SHOWN]]
        return fail(
            f"engines' files are open to others than root: {listed(shown, len(bad))}",
            [
                Evidence(
                    file.path,
                    shown_owner(require(file.owner)),
                    _EXPECTED.get(file.kind, "writable for root alone"),
                )
                for file, _ in bad[:_SHOWN]
            ],
            severity="high"
            if any("everybody may write" in gap or "replace" in gap for _, gap in bad)
            else None,
            reproduce="namei -l " + " ".join(repr(file.path) for file, _ in bad[:_SHOWN]),
        )
    if missing:
        raise missing
    return passed(f"{count(len(files), 'file')} of engines can be changed by root alone")


def _gap(file: EngineFile) -> str:
    """What somebody may do to a file, as a clause before its path; "" for nothing."""
    if who := writers(file):
        return f"{' and '.join(who)} may write to"
    if who := replacers(file):
        return f"{' and '.join(who)} may replace"
    if file.kind in ("key", "data") and (who := readers(file)):
        return f"{' and '.join(who)} may {'enter' if file.kind == 'data' else 'read'}"
    return ""
