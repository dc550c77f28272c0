#!/bin/sh
# Turns process 1 of new namespaces into systemd, on a fresh Debian server: the
# packages of this system with nothing configured by hand, or of the root that
# ALICORN_TEST_ROOT names, as debootstrap makes one. boot.sh FOLDER mounts everything
# there, in memory. What the kernel has only once is out of reach: kernel variables,
# modules, the clock, devices.
set -eu
[ "${2:-}" = in ] || exec unshare --cgroup sh "$0" "$1" in

mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=${ALICORN_TEST_ROOT:-/},upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in dev run usr/local opt srv home root; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
mount -t tmpfs -o mode=1777 tmpfs tmp
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts usr/local/bin
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# Accounts, services and files that this system may have been given.
rm -rf etc/alicorn var/lib/alicorn var/cache/alicorn var/log/alicorn usr/bin/alicorn
rm -rf etc/systemd/system etc/apt/apt.conf usr/sbin/policy-rc.d
mkdir etc/systemd/system
sed -i '/^alicorn:/d' etc/passwd etc/group etc/shadow etc/gshadow
: >etc/fstab
: >etc/resolv.conf
echo shop >etc/hostname
echo 0123456789abcdef0123456789abcdef >etc/machine-id
for unit in modprobe@.service systemd-modules-load.service systemd-udevd.service systemd-udev-trigger.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount; do
    ln -s /dev/null "etc/systemd/system/$unit"
done

pivot_root . mnt
umount -l /mnt
cd /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-sys_boot,-syslog \
    /lib/systemd/systemd --unit=basic.target
