"""Thin typed access to the kernel: system calls, namespace ioctls, ELF notes, tables of its numbers."""
