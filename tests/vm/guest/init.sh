#!/bin/sh
# The first process where systemd is not wanted: cgroups as guest.cgroups= asks, pure v2 by default, then the job.
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t securityfs security /sys/kernel/security
mount --make-rshared /
ip link set lo up
hostname guest

legacy() {
  mount -t tmpfs cgroup /sys/fs/cgroup
  for controllers in "$@"; do
    mkdir "/sys/fs/cgroup/$controllers"
    mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers"
  done
}

unified() {
  mkdir -p "$1"
  mount -t cgroup2 -o nsdelegate cgroup2 "$1"
  # This process alone: real-time kernel threads outside the root cgroup would forbid +cpu.
  mkdir "$1/init"
  echo $$ >"$1/init/cgroup.procs"
  for controller in $(cat "$1/cgroup.controllers"); do
    echo "+$controller" >"$1/cgroup.subtree_control"
  done
}

case $(cat /proc/cmdline) in
  *guest.cgroups=v1*) legacy cpu,cpuacct memory pids blkio devices freezer ;;
  *guest.cgroups=hybrid*)
    legacy cpu,cpuacct pids devices freezer
    unified /sys/fs/cgroup/unified
    ;;
  *) unified /sys/fs/cgroup ;;
esac
exec sh /mnt/source/tests/vm/guest/job.sh
