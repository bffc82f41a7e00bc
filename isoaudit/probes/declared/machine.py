"""What is the whole machine's: its kernel's code, its swap, its end, its log, and the widest doors to bugs."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from isoaudit.kernel import syscalls
from isoaudit.kernel.capability import mask
from isoaudit.probes.declaration import PERMISSION, Call, Probe, opening, raw

_NONE = b"/nonexistent"
_NO_FLAGS = 0xFFF0  # bits that no kexec flag has

# union bpf_attr, for BPF_PROG_LOAD (5), BPF_PROG_GET_NEXT_ID (11) and a command that does not exist.
_LOAD, _NEXT_ID, _NO_COMMAND = 5, 11, 9999
_SOCKET_FILTER = 1
_INSTRUCTIONS = ctypes.create_string_buffer(bytes.fromhex("b7000000000000009500000000000000"))  # r0 = 0; exit
_LICENSE = ctypes.create_string_buffer(b"GPL")
_PROGRAM = struct.pack(
    "=IIQQ24x", _SOCKET_FILTER, 2, ctypes.addressof(_INSTRUCTIONS), ctypes.addressof(_LICENSE)
)
_FROM_ZERO = ctypes.create_string_buffer(16)

# struct perf_event_attr: PERF_TYPE_SOFTWARE, size, PERF_COUNT_SW_DUMMY; flags: disabled.
_EVENT = ctypes.create_string_buffer(struct.pack("=IIQ24xQ16x", 1, 64, 9, 1), 64)
# The same without the kernel's side and the hypervisor's.
_OWN_EVENT = ctypes.create_string_buffer(struct.pack("=IIQ24xQ16x", 1, 64, 9, 0b1100001), 64)
# With a size that makes the kernel refuse before it looks at any right.
_NO_EVENT = ctypes.create_string_buffer(struct.pack("=IIQ48x", 1, 8, 9), 64)
_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
_USER_MODE_ONLY = 1
_IO_URING_PARAMETERS = 120

# keyctl(2)'s KEYCTL_GET_KEYRING_ID; a process key ring, which is not made when it is only asked for; a serial
# number that no key has, as they are positive and random.
_GET_KEYRING_ID, _PROCESS_KEYRING, _NO_KEY = 0, -2, 0x7FFFFFF0
_SIZE_BUFFER = 10  # SYSLOG_ACTION_SIZE_BUFFER, which is asked for by the same rule as reading
_PORT = 0x80  # to which the BIOS writes its progress; it is not used here
# struct file_handle of 8 bytes, of a type that no filesystem gives out.
_NO_HANDLE = struct.pack("=Ii8x", 8, 0xFD)


def _io_uring(_: object) -> None:
    os.close(syscalls.call("io_uring_setup", 1, ctypes.create_string_buffer(_IO_URING_PARAMETERS)))


def _ports(_: object) -> None:
    syscalls.call("ioperm", _PORT, 1, 1)
    syscalls.call("ioperm", _PORT, 1, 0)


def _all_ports(_: object) -> None:
    syscalls.call("iopl", 3)
    syscalls.call("iopl", 0)


def _by_handle(_: object) -> None:
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(syscalls.call("open_by_handle_at", root, _NO_HANDLE, os.O_RDONLY | os.O_CLOEXEC))
    finally:
        os.close(root)


PROBES = (
    Probe(
        "module-load",
        PERMISSION,
        "load a module into the host's kernel",
        "may_init_module() in kernel/module/main.c",
        "no module: there is no file and no image",
        calls=(
            raw('finit_module(-1, "", 0)', "finit_module", -1, b"", 0),
            raw('init_module(NULL, 0, "")', "init_module", None, 0, b""),
        ),
        permitted=(errno.EBADF, errno.ENOEXEC),
        refused=(errno.ENOSYS,),
        capabilities=mask("CAP_SYS_MODULE"),
    ),
    Probe(
        "kexec-load",
        PERMISSION,
        "start another kernel in place of the host's",
        "kexec_load_check() in kernel/kexec.c, kexec_file_load() in kernel/kexec_file.c",
        "no image: flags that do not exist are refused after the right; without segments one would be unloaded",
        calls=(
            raw("kexec_load(0, 0, NULL, 0xfff0)", "kexec_load", 0, 0, None, _NO_FLAGS),
            raw("kexec_file_load(-1, -1, 0, NULL, 0xfff0)", "kexec_file_load", -1, -1, 0, None, _NO_FLAGS),
        ),
        permitted=(errno.EINVAL,),
        refused=(errno.ENOSYS,),
        capabilities=mask("CAP_SYS_BOOT"),
    ),
    Probe(
        "reboot",
        PERMISSION,
        "reboot or halt the host",
        "SYSCALL_DEFINE4(reboot) in kernel/reboot.c",
        "nothing: the magic numbers, without which nothing is done, are looked at after the right",
        calls=(raw("reboot(0, 0, 0, NULL)", "reboot", 0, 0, 0, None),),
        permitted=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_BOOT"),
        own="pid",
    ),
    Probe(
        "swap-on",
        PERMISSION,
        "add and remove the host's swap",
        "SYSCALL_DEFINE2(swapon), SYSCALL_DEFINE1(swapoff) in mm/swapfile.c",
        "no swap: the file does not exist",
        calls=(
            raw('swapon("/nonexistent", 0)', "swapon", _NONE, 0),
            raw('swapoff("/nonexistent")', "swapoff", _NONE),
        ),
        permitted=(errno.ENOENT,),
        refused=(errno.ENOSYS,),
        capabilities=mask("CAP_SYS_ADMIN"),
    ),
    Probe(
        "account",
        PERMISSION,
        "take over the host's process accounting",
        "SYSCALL_DEFINE1(acct) in kernel/acct.c",
        "no accounting: the file does not exist; without a name accounting would be turned off",
        calls=(raw('acct("/nonexistent/x")', "acct", _NONE + b"/x"),),
        permitted=(errno.ENOENT,),
        refused=(errno.ENOSYS,),
        capabilities=mask("CAP_SYS_PACCT"),
        own="pid",
    ),
    Probe(
        "bpf-load",
        PERMISSION,
        "load a BPF program into the host's kernel",
        "bpf_prog_load() in kernel/bpf/syscall.c",
        "no socket and no event: the program of two instructions is attached to nothing and freed at once",
        calls=(opening("bpf(BPF_PROG_LOAD, {SOCKET_FILTER, 2 instructions})", "bpf", _LOAD, _PROGRAM, 48),),
        refused=(errno.EACCES, errno.ENOSYS),
        reach=raw("bpf(9999)", "bpf", _NO_COMMAND, _FROM_ZERO, 16),
        reached=(errno.EINVAL,),
        capabilities=mask("CAP_BPF", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "bpf-list",
        PERMISSION,
        "find the BPF programs of the host, and load any of its own",
        "bpf_obj_get_next_id() in kernel/bpf/syscall.c",
        "nothing: an id is asked for",
        calls=(raw("bpf(BPF_PROG_GET_NEXT_ID, {0})", "bpf", _NEXT_ID, _FROM_ZERO, 16),),
        permitted=(0, errno.ENOENT),
        refused=(errno.ENOSYS,),
        reach=raw("bpf(9999)", "bpf", _NO_COMMAND, _FROM_ZERO, 16),
        reached=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_ADMIN"),
    ),
    Probe(
        "perf-open",
        PERMISSION,
        "watch the events of its own processes, the kernel's side included",
        "SYSCALL_DEFINE5(perf_event_open) in kernel/events/core.c",
        "no counter of the hardware's: a dummy event of its own, disabled, closed at once",
        calls=(
            opening(
                "perf_event_open({SOFTWARE, DUMMY}, 0, -1)", "perf_event_open", _EVENT, 0, -1, -1, _CLOEXEC
            ),
        ),
        refused=(errno.EACCES, errno.ENOSYS),
        reach=raw("perf_event_open({size=8}, 0, -1)", "perf_event_open", _NO_EVENT, 0, -1, -1, _CLOEXEC),
        reached=(errno.E2BIG,),
        capabilities=mask("CAP_PERFMON", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "perf-own",
        PERMISSION,
        "watch the events of its own processes",
        "SYSCALL_DEFINE5(perf_event_open) in kernel/events/core.c",
        "no counter of the hardware's: a dummy event of its own, disabled, closed at once",
        calls=(
            opening(
                "perf_event_open({SOFTWARE, DUMMY, exclude_kernel}, 0, -1)",
                "perf_event_open",
                _OWN_EVENT,
                0,
                -1,
                -1,
                _CLOEXEC,
            ),
        ),
        refused=(errno.EACCES, errno.ENOSYS),
        reach=raw("perf_event_open({size=8}, 0, -1)", "perf_event_open", _NO_EVENT, 0, -1, -1, _CLOEXEC),
        reached=(errno.E2BIG,),
        capabilities=mask("CAP_PERFMON", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "perf-watch",
        PERMISSION,
        "watch the events of a whole CPU, and so of all containers",
        "SYSCALL_DEFINE5(perf_event_open) in kernel/events/core.c",
        "no counter of the hardware's: a dummy event on CPU 0, disabled, closed at once",
        calls=(
            opening(
                "perf_event_open({SOFTWARE, DUMMY}, -1, 0)", "perf_event_open", _EVENT, -1, 0, -1, _CLOEXEC
            ),
        ),
        refused=(errno.EACCES, errno.ENOSYS),
        reach=raw("perf_event_open({size=8}, -1, 0)", "perf_event_open", _NO_EVENT, -1, 0, -1, _CLOEXEC),
        reached=(errno.E2BIG,),
        capabilities=mask("CAP_PERFMON", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "io-uring-setup",
        PERMISSION,
        "use io_uring",
        "io_uring_allowed() in io_uring/io_uring.c",
        "a ring of one entry, closed at once",
        calls=(Call("io_uring_setup(1, {0})", _io_uring),),
        refused=(errno.ENOSYS,),
        reach=raw("io_uring_setup(0, NULL)", "io_uring_setup", 0, None),
        reached=(errno.EINVAL, errno.EFAULT),
        capabilities=mask("CAP_SYS_ADMIN"),
    ),
    Probe(
        "userfaultfd",
        PERMISSION,
        "stop the kernel in the middle of a copy by userfaultfd",
        "userfaultfd_syscall_allowed() in fs/userfaultfd.c",
        "no memory: none is registered, and it is closed at once",
        calls=(opening("userfaultfd(0)", "userfaultfd", 0),),
        refused=(errno.ENOSYS,),
        reach=opening("userfaultfd(UFFD_USER_MODE_ONLY)", "userfaultfd", _USER_MODE_ONLY),
        reached=(0, errno.EINVAL),
        capabilities=mask("CAP_SYS_PTRACE"),
    ),
    Probe(
        "keyring",
        PERMISSION,
        "use the kernel's key rings",
        "SYSCALL_DEFINE5(keyctl), SYSCALL_DEFINE5(add_key), SYSCALL_DEFINE4(request_key) in security/keys",
        "no key: rings are asked for that do not exist, and none is made for a mere question",
        calls=(
            raw(
                "keyctl(GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0)",
                "keyctl",
                _GET_KEYRING_ID,
                _PROCESS_KEYRING,
                0,
            ),
            raw(
                'add_key("user", "isoaudit", "x", 1, 0x7ffffff0)',
                "add_key",
                b"user",
                b"isoaudit",
                b"x",
                1,
                _NO_KEY,
            ),
            raw('request_key("user", "isoaudit", NULL, 0)', "request_key", b"user", b"isoaudit", None, 0),
        ),
        permitted=(0, errno.ENOKEY),
        refused=(errno.EACCES, errno.ENOSYS),
    ),
    Probe(
        "kernel-log-read",
        PERMISSION,
        "read the kernel's log",
        "check_syslog_permissions() in kernel/printk/printk.c",
        "nothing: the size of the log is asked for",
        calls=(raw("syslog(SYSLOG_ACTION_SIZE_BUFFER, NULL, 0)", "syslog", _SIZE_BUFFER, None, 0),),
        refused=(errno.ENOSYS,),
        capabilities=mask("CAP_SYSLOG", "CAP_SYS_ADMIN"),
    ),
    Probe(
        "io-port",
        PERMISSION,
        "use the machine's I/O ports, and so its devices, past the kernel",
        "ksys_ioperm(), SYSCALL_DEFINE1(iopl) in arch/x86/kernel/ioport.c",
        "its own thread's rights to ports, of which none is used",
        "the right is given back by the same call",
        calls=(Call("ioperm(0x80, 1, 1)", _ports), Call("iopl(3)", _all_ports)),
        refused=(errno.ENOSYS,),
        reach=raw("iopl(4)", "iopl", 4),
        reached=(errno.EINVAL,),
        capabilities=mask("CAP_SYS_RAWIO"),
    ),
    Probe(
        "open-by-handle",
        PERMISSION,
        "open any file of a filesystem, in its tree or not, that shows anywhere inside",
        "may_decode_fh() in fs/fhandle.c",
        "no file: no filesystem has handles of that type",
        calls=(Call("open_by_handle_at(/, {type 0xfd})", _by_handle),),
        permitted=(errno.ESTALE,),
        refused=(errno.ENOSYS,),
        # Before Linux 6.12 the right was looked at first, so that EPERM says nothing of a filter.
        reach=raw("open_by_handle_at(-1)", "open_by_handle_at", -1, _NO_HANDLE, os.O_RDONLY),
        reached=(errno.EBADF,),
        telling=False,
        capabilities=mask("CAP_DAC_READ_SEARCH"),
        own="user",
    ),
)
