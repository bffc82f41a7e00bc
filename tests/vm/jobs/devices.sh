# Device policies of cgroup v2 as engines and systemd make them: all are BPF programs.
source /mnt/source/tests/vm/jobs/lib.sh
make_root
tar -C $root -cf /tmp/root.tar .
dockerd --bridge=none --iptables=false --ip6tables=false >dockerd.log 2>&1 &

podman --runtime runc run -d --network none --name pod-runc --rootfs $root sleep 100000
podman --runtime crun run -d --network none --name pod-crun --rootfs $root sleep 100000
podman --runtime crun run -d --network none --name pod-privileged --privileged --rootfs $root sleep 100000
for name in pod-runc pod-crun pod-privileged; do podman inspect -f '{{.State.Pid}}' $name >$name.pid; done

# unit NAME OPTION…: a container that systemd starts as a unit.
unit() {
  local name=$1
  shift
  systemd-run --quiet --unit "$name" "$@" unshare --mount --pid --fork --mount-proc --kill-child -- sleep 100000
  child_of "$(systemctl show -P MainPID "$name")" >"$name.pid"
}
printf '[Slice]\nDevicePolicy=closed\n' >/run/systemd/system/closed.slice
systemctl daemon-reload
unit open
unit allowing -p DevicePolicy=closed -p "DeviceAllow=/dev/kmsg rw" -p "DeviceAllow=char-pts rw" \
  -p "DeviceAllow=block-ubd r"
unit below --slice closed.slice -p "DeviceAllow=/dev/kmsg rw"

until docker version >/dev/null 2>&1; do sleep 0.3; done
docker import -c 'CMD ["sleep","100000"]' -c 'ENV PATH=/bin' /tmp/root.tar bb
docker run -d --network none --name plain bb
docker run -d --network none --name privileged --privileged bb
docker run -d --network none --name ruled --device /dev/kmsg:/dev/kmsg:r --device-cgroup-rule 'b 7:* rm' bb
for name in plain privileged ruled; do docker inspect -f '{{.State.Pid}}' $name >$name.pid; done

$audit scan --host --probes none --quiet -f json -o host.json
setpriv --reuid 1000 --regid 1000 --clear-groups $audit container "$(cat plain.pid)" --probes none --quiet \
  -f json >user.json
exit 0
