# What the jobs have in common. They run as root in a guest, in the folder that their answers go to.
root=/tmp/root
as=
audit="python3 -m isoaudit"

# A root filesystem of a static busybox.
make_root() {
  mkdir -p $root/{bin,proc,sys,dev,tmp,etc}
  cp /bin/busybox $root/bin/
  for applet in sh sleep cat; do ln -s busybox $root/bin/$applet; done
}

# contained NAME CGROUP UNSHARE-OPTION…: a process in namespaces of its own, started in a cgroup; its pid goes into
# NAME.pid. What $as says comes before the namespaces.
contained() {
  local name=$1 cgroup=$2
  shift 2
  bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec '"$as"' unshare "$@"' sh "$cgroup" \
    --mount --pid --fork --mount-proc --kill-child "$@" -- sleep 100000 &
  child_of $! >"$name.pid"
}

# The pid of the sleep below a process, once it is there.
child_of() {
  local child try
  for try in {1..100}; do
    child=$(pgrep --parent "$1" --exact sleep) && echo "$child" && return
    sleep 0.1
  done
  echo "no sleep below process $1 after $try tries" >&2
}

# report NAME PID: what isoaudit says of one container.
report() {
  $audit container "$2" --probes none --quiet -f json -o "$1.json"
}
