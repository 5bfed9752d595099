# enter.sh BASE LAYER [FROM TO]... -- COMMAND...: run a command in a root, whose writes go to LAYER.
# In a mount namespace of its own, so that all of it is gone when the command is.
set -eu
base=$1 layer=$2; shift 2
root=$layer/root
mkdir -p "$layer/up" "$layer/work" "$root"
mount -t overlay -o "lowerdir=$base,upperdir=$layer/up,workdir=$layer/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir "$root/run/lock"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
