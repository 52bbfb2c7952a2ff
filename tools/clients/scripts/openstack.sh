# The openstack command: what people type on their first day.
set -e
N=${PWD##*/}; N=${N//[.]/-}
run() { echo "+ openstack $*"; openstack "$@"; }
# Until nothing is going on with the server.
settled() { for _ in $(seq 60); do openstack server show $N-server -f value -c OS-EXT-STS:task_state | grep -q None && return; sleep 0.5; done; return 1; }
# Confirms or reverts a resize or a cold migration: the oldest client has options for it, the others commands.
end_move() {
  case $N in *-3-19) run server resize --$2 $N-server ;; *) run server $1 $2 $N-server ;; esac
  settled
  [ $(openstack server show $N-server -f value -c status) = ACTIVE ]
}
run token issue -f value -c expires
run catalog list
run service list
run endpoint list
run project list
run user list
run role list
run domain list
run image list
run image show demo-guest
run flavor list
run hypervisor list
run compute service list
run host list
run availability zone list
run aggregate list
run network agent list
run extension list --network
run quota show
run limits show --absolute
run usage list
run network create $N-net
run subnet create --network $N-net --subnet-range 10.55.0.0/24 $N-subnet
run router create $N-router
run router add subnet $N-router $N-subnet
run security group create $N-group
run security group rule create --protocol tcp --dst-port 22 $N-group
run security group rule list $N-group
run keypair create $N-key >/dev/null
run server create --image demo-guest --flavor m1.nano --network $N-net --security-group $N-group --key-name $N-key --wait $N-server
run server list
run server list --long
run server show $N-server
run port list
run port list --server $N-server
run server image create --name $N-image --wait $N-server
run server backup create --name $N-backup --type daily --rotate 1 --wait $N-server
run server rebuild --wait --image demo-guest $N-server
run server rescue $N-server
settled
run server unrescue $N-server
settled
run server shelve $N-server
settled
run server unshelve $N-server
settled
run server resize --flavor m1.tiny --wait $N-server
end_move resize revert
run server resize --flavor m1.tiny --wait $N-server
end_move resize confirm
run server migrate --wait $N-server
end_move migration revert
run server migrate --wait $N-server
end_move migration confirm
run server migrate --live-migration --block-migration --wait $N-server
settled
case $N in
  *-3-19) ;;
  *)
    run --os-compute-api-version 2.30 server migrate --live-migration --wait $N-server
    settled
    run server migration list --server $N-server
    ;;
esac
run server stop $N-server
settled
run server group list
run server event list $N-server
run console log show $N-server || true
run floating ip list
run network list --external
run subnet list
run router show $N-router
run server delete --wait $N-server
run image delete $N-image $N-backup
run router remove subnet $N-router $N-subnet
run router delete $N-router
run network delete $N-net
run security group delete $N-group
run keypair delete $N-key
