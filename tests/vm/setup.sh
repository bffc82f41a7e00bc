#!/usr/bin/env bash
# Installs what the vm tests boot: a kernel that runs as a process, and what makes a root filesystem for it.
# Only as root on a system with apt-get; elsewhere the tests that lack something are skipped and say so.
set -euo pipefail

packages=(user-mode-linux mmdebstrap e2fsprogs kmod)
commands=(linux.uml mmdebstrap mke2fs depmod)

missing=()
for index in "${!commands[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${commands[$index]}" >/dev/null || missing+=("${packages[$index]}")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "vm tests: ${missing[*]} not installed; the tests that need them will be skipped" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
