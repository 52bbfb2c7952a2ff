# novaclient of 2018, with the version it negotiates.
set -e
N=${PWD##*/}; N=${N//[.]/-}
run() { echo "+ nova $*"; nova "$@"; }
# Until nothing is going on with the server.
settled() { for _ in $(seq 60); do nova show $N-server | grep -q 'task_state  *| -' && return; sleep 0.5; done; return 1; }
run version-list
run flavor-list
run availability-zone-list
run service-list
run hypervisor-list
run hypervisor-stats
run limits
run quota-show
run quota-class-show default
run usage
run keypair-add --pub-key key.pub $N-key
run keypair-list
NET=$(cat net_id)
run boot --image demo-guest --flavor m1.nano --nic net-id=$NET --key-name $N-key --poll $N-server
run list
run list --all-tenants
run list --name '(new|nova).*-s.*'
run show $N-server
run interface-list $N-server
run list-secgroup $N-server
run volume-attachments $N-server
run instance-action-list $N-server
run stop $N-server
sleep 2
run start $N-server
sleep 2
run reboot --hard $N-server
sleep 2
run server-tag-list $N-server
run meta $N-server set a=b
run lock $N-server
run unlock $N-server
run image-create --poll $N-server $N-image
run backup $N-server $N-backup daily 1
settled
run rebuild --poll $N-server demo-guest
run rescue $N-server
settled
run unrescue $N-server
settled
run shelve $N-server
settled
run unshelve $N-server
settled
run live-migration $N-server
settled
run server-migration-list $N-server
run trigger-crash-dump $N-server
run instance-action-list $N-server
run migration-list
run server-group-list
run aggregate-list
run delete $N-server
run keypair-delete $N-key
