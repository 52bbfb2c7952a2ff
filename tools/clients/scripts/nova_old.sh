# novaclient of 2016: what the guides of 2014 to 2016 have one type; versions of the API below 2.36.
set -e
N=${PWD##*/}; N=${N//[.]/-}
run() { echo "+ nova $*"; nova "$@"; }
run list-extensions
run flavor-list
run image-list
run image-show demo-guest
run net-list
run tenant-network-list || true
run floating-ip-pool-list
run floating-ip-list
run secgroup-list
run availability-zone-list
run service-list
run host-list
run hypervisor-list
run hypervisor-stats
run absolute-limits
run quota-show
run quota-class-show default
run usage
run keypair-add --pub-key key.pub $N-key
run keypair-list
NET=$(cat net_id)
run boot --image demo-guest --flavor m1.nano --nic net-id=$NET --key-name $N-key --poll $N-server
run list
run list --all-tenants
run show $N-server
run interface-list $N-server
run list-secgroup $N-server
run volume-attachments $N-server 2>/dev/null || true
run instance-action-list $N-server
run stop $N-server
sleep 2
run start $N-server
sleep 2
run reboot --hard $N-server
sleep 2
run console-log $N-server || true
run meta $N-server set a=b
run image-create --poll $N-server $N-image
run image-list
run image-delete $N-image
run rebuild --poll $N-server demo-guest
run rescue $N-server
sleep 3
run unrescue $N-server
sleep 3
run shelve $N-server
sleep 6
run unshelve $N-server
sleep 3
run live-migration --block-migrate $N-server
sleep 3
run rename $N-server older
run migration-list
run server-group-list
run aggregate-list
run delete older
run keypair-delete $N-key
