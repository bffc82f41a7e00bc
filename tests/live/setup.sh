#!/usr/bin/env bash
# Installs what the live tests start: real runtimes, a static busybox for an image, a browser for the HTML.
# Only as root on a system with apt-get; elsewhere the tests that lack something are skipped and say so.
set -euo pipefail

packages=(docker.io runc busybox-static bubblewrap util-linux chromium
  crun podman containerd containernetworking-plugins lxc uidmap systemd-container firejail iproute2)
commands=(dockerd runc busybox bwrap unshare chromium
  crun podman containerd /usr/lib/cni/bridge lxc-start newuidmap systemd-nspawn firejail ip)

missing=()
for index in "${!commands[@]}"; do
  # Debian ships a client called docker without an engine: ask for the engine.
  PATH=$PATH:/usr/sbin:/sbin command -v "${commands[$index]}" >/dev/null || missing+=("${packages[$index]}")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "live tests: ${missing[*]} not installed; the tests that need them will be skipped" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
