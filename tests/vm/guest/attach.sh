#!/bin/sh
# In the image, as what both kinds of boot start: brings the host's folders in, then goes on with a script there.
# Folders come as kernel arguments, guest.NAME=PATH. hostfs reads and writes them as the host's user does.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ -e /proc/cmdline ] || mount -t proc proc /proc
modprobe hostfs
for argument in $(cat /proc/cmdline); do
  case $argument in
    guest.source=*) mount -t hostfs -o ro,"${argument#*=}" none /mnt/source ;;
    guest.packages=*) mount -t hostfs -o ro,"${argument#*=}" none /mnt/packages ;;
    guest.bytecode=*) mount -t hostfs -o "${argument#*=}" none /mnt/bytecode ;;
    guest.job=*) mount -t hostfs -o "${argument#*=}" none /mnt/job ;;
  esac
done
exec sh "/mnt/source/tests/vm/guest/$1.sh"
