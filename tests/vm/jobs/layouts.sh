# Whatever cgroup layout the guest has: a container in every hierarchy, limited where that has files for it.
source /mnt/source/tests/vm/jobs/lib.sh
limit() { if [ -e "$1" ]; then echo "$2" >"$1"; fi; }
for top in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do
  mkdir -p "$top/box/leaf"
  limit "$top/box/memory.limit_in_bytes" 64M
  limit "$top/box/memory.max" 64M
  limit "$top/box/pids.max" 30
  limit "$top/box/leaf/cpu.cfs_quota_us" 50000
  # Flat on v1: what stands on the parent binds nobody below.
  limit "$top/box/blkio.throttle.read_bps_device" "98:0 1048576"
  echo $$ >"$top/box/leaf/cgroup.procs"
done
unshare --mount --pid --fork --mount-proc --kill-child -- sleep 100000 &
child_of $! >box.pid
report box "$(cat box.pid)" && $audit scan --host --probes none --quiet -f json -o host.json
