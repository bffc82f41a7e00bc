# Pure cgroup v2, by hand: limits on ancestors, threads, controllers that do not reach down, namespaces, any name.
source /mnt/source/tests/vm/jobs/lib.sh
top=/sys/fs/cgroup

# group PATH [CONTROLLERS-BELOW]
group() {
  mkdir -p "$top/$1"
  for controller in $2; do echo "+$controller" >"$top/$1/cgroup.subtree_control"; done
}

# within NAME [NSENTER-OPTION…] COMMAND…: runs something in a container's namespaces.
within() {
  local pid
  read -r pid <"$1.pid"
  shift
  nsenter --target "$pid" --mount --pid --cgroup "$@"
}

group nested "cpu memory pids"
group nested/middle "cpu memory pids"
group nested/middle/leaf
echo 200M >$top/nested/memory.max
echo 100M >$top/nested/middle/memory.max
echo "50000 100000" >$top/nested/cpu.max
echo 20 >$top/nested/middle/leaf/pids.max
echo 40 >$top/nested/middle/pids.max
contained nested $top/nested/middle/leaf

group above ""
group above/leaf
echo 64M >$top/above/memory.max
contained above $top/above/leaf

group unlimited
contained unlimited $top/unlimited

group disabled
group disabled/leaf
contained disabled $top/disabled/leaf

group domain
group domain/thread
echo threaded >$top/domain/thread/cgroup.type
echo +cpu >$top/domain/cgroup.subtree_control
echo 80M >$top/domain/memory.max
echo 1 >$top/domain/memory.oom.group
echo "20000 100000" >$top/domain/thread/cpu.max
contained threaded $top/domain
# A threaded cgroup takes only processes of its own domain.
cat threaded.pid >$top/domain/thread/cgroup.procs

group hidden
group hidden/leaf
echo 90M >$top/hidden/memory.max
contained hidden $top/hidden/leaf --cgroup
cat /proc/"$(cat hidden.pid)"/cgroup >hidden.seen
within hidden cat /proc/1/cgroup >hidden.inside
within hidden umount /sys/fs/cgroup
within hidden mount -t cgroup2 none /sys/fs/cgroup

group both
echo 60M >$top/both/memory.max
contained first $top/both
contained second $top/both

odd=$'odd \xff:name (deleted)'
group "$odd"
group "odd"
echo 70M >"$top/$odd/memory.max"
contained odd "$top/$odd"

group slowed
echo 50M >$top/slowed/memory.high
contained slowed $top/slowed

group promised memory
group promised/leaf
echo 32M >$top/promised/leaf/memory.low
echo 128M >$top/promised/leaf/memory.max
contained promised $top/promised/leaf

# Given away as systemd does it: the folder and where processes are put, not the limits.
group given
echo 48M >$top/given/memory.max
chown 1000 $top/given $top/given/cgroup.procs $top/given/cgroup.subtree_control
as="setpriv --reuid 1000 --regid 1000 --clear-groups"
contained given $top/given --cgroup --user --map-root-user
within given --user mount -t cgroup2 none /srv

report nested "$(cat nested.pid)" && $audit scan --host --probes none --quiet -f json -o host.json
