# Engines with cgroupfs on pure cgroup v2, and AppArmor: docker, podman with crun, runc and crun by themselves.
source /mnt/source/tests/vm/jobs/lib.sh
make_root
tar -C $root -cf /tmp/root.tar .
PATH=$PATH:/usr/sbin dockerd --bridge=none --iptables=false --ip6tables=false >dockerd.log 2>&1 &

cat >/tmp/profile <<'P'
#include <tunables/global>
profile complaining flags=(complain) { file, }
P
apparmor_parser -Kr /tmp/profile

podman="podman --cgroup-manager cgroupfs"
$podman run -d --network none --name pod-limited --memory 64m --cpus 0.5 --pids-limit 30 --cpu-shares 512 \
  --device-read-bps /dev/ubda:1mb --rootfs $root sleep 100000
$podman run -d --network none --name pod-bare --pids-limit 0 --security-opt apparmor=unconfined \
  --rootfs $root sleep 100000

until docker version >/dev/null 2>&1; do sleep 0.3; done
docker import -c 'CMD ["sleep","100000"]' -c 'ENV PATH=/bin' /tmp/root.tar bb
docker run -d --network none --name limited --memory 64m --memory-reservation 32m --cpus 0.5 --pids-limit 50 \
  --cpu-shares 512 --device-read-bps /dev/ubda:1mb bb
docker run -d --network none --name privileged --privileged bb

# run RUNTIME NAME JSON
run() {
  python3 /mnt/source/tests/vm/jobs/bundle.py "/tmp/$2" "$2" $root "$3"
  (cd "/tmp/$2" && "$1" run -d --pid-file "$OLDPWD/$2.pid" "$2" </dev/null >out 2>&1) || cat "/tmp/$2/out" >&2
}
run runc enforced '{"process": {"apparmorProfile": "docker-default"}, "linux": {"resources": {"memory": {"limit": 67108864}}}}'
run runc complaining '{"process": {"apparmorProfile": "complaining"}}'
run crun crunned '{"linux": {"resources": {"memory": {"limit": 33554432}, "pids": {"limit": 9}}}}'

for name in limited privileged; do docker inspect -f '{{.State.Pid}}' $name >$name.pid; done
for name in pod-limited pod-bare; do $podman inspect -f '{{.State.Pid}}' $name >$name.pid; done
$audit scan --host --probes none --quiet -f json -o host.json
