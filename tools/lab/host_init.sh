#!/bin/bash
# The first process of one lab host; killing it is a power cut. Arguments: name, directory of the host, directory with
# the programs that the host has in /usr/local/bin, then directories that it needs where they are, the checkout among
# them. Everything a host writes lands below its directory or in memory.
set -e
name=$1 dir=$2 programs=$3
shift 3

hostname "$name"
mount -t proc proc /proc
mount -t sysfs sysfs /sys

# Etc and var are the machine's own until the host writes to them.
for tree in etc var root; do
    mkdir -p "$dir/$tree" "$dir/.work/$tree"
    mount -t overlay "$name-$tree" -o "lowerdir=/$tree,upperdir=$dir/$tree,workdir=$dir/.work/$tree" "/$tree"
done
# What the machine's own servers have kept is no business of the host.
for path in /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /var/lib/mysql /var/lib/rabbitmq /var/log/rabbitmq; do
    [ -d "$path" ] || continue
    mkdir -p "$dir/own$path"
    chown --reference="$path" "$dir/own$path"
    mount --bind "$dir/own$path" "$path"
done
rm -rf /etc/libvirt/qemu/networks /etc/libvirt/qemu/autostart
mount --bind "$programs" /usr/local/bin
mount -t tmpfs -o mode=755 run /run
# What is needed and lies below /tmp stays there, although the rest of it is the host's own.
kept=0
for path in "$@"; do
    case $path in /tmp/*)
        kept=$((kept + 1))
        mkdir -p "/run/kept/$kept"
        mount --bind "$path" "/run/kept/$kept" ;;
    esac
done
mount -t tmpfs -o mode=1777 tmp /tmp
kept=0
for path in "$@"; do
    case $path in /tmp/*)
        kept=$((kept + 1))
        mkdir -p "$path"
        mount --move "/run/kept/$kept" "$path" ;;
    esac
done
mkdir -p /run/lab /run/lock /run/mysqld /run/rabbitmq /var/log/lab
! id -u mysql >/dev/null 2>&1 || chown mysql /run/mysqld
! id -u rabbitmq >/dev/null 2>&1 || chown rabbitmq /run/rabbitmq

# There is no kvm node: guests hang on one that the processor does not back.
mount -t tmpfs -o mode=755 dev /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8
mknod -m 666 /dev/urandom c 1 9
mknod -m 666 /dev/tty c 5 0
mkdir -p /dev/net /dev/pts /dev/shm
mknod -m 666 /dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr

ip link set lo up
: > /run/lab/ready
while :; do
    sleep 1000 &
    wait $!
done
