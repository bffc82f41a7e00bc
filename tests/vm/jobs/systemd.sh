# systemd as the manager of cgroups: docker's scopes, a user's own containers, a delegated scope with a cgroup below.
source /mnt/source/tests/vm/jobs/lib.sh
make_root
tar -C $root -cf /tmp/root.tar .
dockerd --exec-opt native.cgroupdriver=systemd --bridge=none --iptables=false --ip6tables=false >dockerd.log 2>&1 &

loginctl enable-linger user
systemctl start user@1000.service
cp -r $root /home/user/root
chown -R user /home/user/root
as_user="setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"
here=$PWD
cd /home/user || exit 1
$as_user podman run -d --network none --name rootless --memory 64m --pids-limit 40 --cpu-shares 512 \
  --rootfs /home/user/root sleep 100000
$as_user podman inspect -f '{{.State.Pid}}' rootless >"$here/rootless.pid"
cd "$here" || exit 1

cat >/tmp/delegated.sh <<'S'
own=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
mkdir "$own/inner"
echo $$ >"$own/inner/cgroup.procs"
exec unshare --mount --pid --fork --mount-proc --kill-child -- sleep 100000
S
systemd-run --quiet --unit delegated --slice machine.slice -p Delegate=yes -p MemoryMax=56M -p CPUWeight=40 \
  bash /tmp/delegated.sh
child_of "$(systemctl show -P MainPID delegated)" >delegated.pid

until docker version >/dev/null 2>&1; do sleep 0.3; done
docker import -c 'CMD ["sleep","100000"]' -c 'ENV PATH=/bin' /tmp/root.tar bb
docker run -d --network none --name scoped --memory 64m --cpus 0.5 --pids-limit 50 --cpu-shares 512 bb
docker inspect -f '{{.State.Pid}}' scoped >scoped.pid
$audit scan --host --probes none --quiet -f json -o host.json
