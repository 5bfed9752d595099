#!/bin/sh
# The first process of a guest: the host's root, read-only, under a layer in memory.
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do
  busybox insmod "$module" || echo "guest: $module is refused"
done
options=trans=virtio,version=9p2000.L,cache=loose,msize=262144
share() { busybox mount -t 9p -o "$options,$3" "$1" "$2"; }
if ! share root /root ro; then
  echo "guest: no root"
  busybox poweroff -f
fi
busybox mount -t tmpfs -o size=75% layer /layer
busybox mkdir /layer/up /layer/work
busybox mount -t overlay -o lowerdir=/root,upperdir=/layer/up,workdir=/layer/work overlay /new
version=$(busybox uname -r)
busybox mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp "/new/lib/modules/$version"
share modules "/new/lib/modules/$version" ro
busybox mount --move /dev /new/dev
busybox mount --move /proc /new/proc
busybox mkdir /new/dev/job
share job /new/dev/job rw
exec busybox switch_root /new /bin/sh /dev/job/guest.sh
