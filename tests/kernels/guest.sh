# Goes on where init.sh ends: a host's usual mounts, and the job.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
for kind in tracefs:/sys/kernel/tracing securityfs:/sys/kernel/security; do
  mount -t "${kind%%:*}" "${kind%%:*}" "${kind#*:}" 2>/dev/null
done
checkout=$(cat /dev/job/checkout)
if [ ! -e "$checkout" ]; then # a root of another machine
  mkdir -p "$checkout"
  mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=262144,ro checkout "$checkout"
fi
modprobe -q tun # it makes /dev/net/tun
ip link set lo up
echo guest >/proc/sys/kernel/hostname
echo "guest: Linux $(uname -r) is up after $(cut -d' ' -f1 /proc/uptime) s"
bash /dev/job/job.sh
echo $? >/dev/job/code
echo "guest: ends after $(cut -d' ' -f1 /proc/uptime) s"
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
