"""CPUs: levels of x86-64 (psABI, "Micro-Architecture Levels") from /proc/cpuinfo, and flaws from sysfs."""

from __future__ import annotations

# As the kernel spells them in "flags" (arch/x86/include/asm/cpufeatures.h).
_NEEDS: tuple[frozenset[str], ...] = (
    frozenset({"cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse", "sse2"}),
    frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
    frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)


def parse_x86_level(raw: bytes) -> int:
    """The highest level, 1 to 4, that the first CPU has.

    Raises:
        ValueError: no "flags" line: not an x86 machine.
    """
    for entry in raw.split(b"\n"):
        key, _, value = entry.partition(b":")
        if key.strip() == b"flags":
            flags = set(value.decode("ascii", "replace").split())
            level = 0
            for needed in _NEEDS:
                if not needed <= flags:
                    break
                level += 1
            return level
    raise ValueError("no flags line: not an x86 machine")


def unmitigated(says: str) -> bool:
    """Whether a file of /sys/devices/system/cpu/vulnerabilities says that a flaw, or a part of it, is open.

    "Vulnerable: …", "Mitigation: …; SMT vulnerable", "Mitigation: …; BHI: Vulnerable"; not "Not affected",
    "Mitigation: …" and "Unknown: …", by which the kernel says that it cannot tell (in virtual machines).
    """
    return "vulnerable" in says.lower() and "not vulnerable" not in says.lower()
