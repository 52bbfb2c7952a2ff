# The neutron command, whose every path ends in .json.
set -e
N=${PWD##*/}; N=${N//[.]/-}
run() { echo "+ neutron $*"; neutron "$@"; }
run ext-list
run agent-list
run net-list
run net-create $N-net
run subnet-create --name $N-subnet $N-net 10.56.0.0/24
run subnet-list
run router-create $N-router
run router-interface-add $N-router $N-subnet
run router-port-list $N-router
run port-create --name $N-port $N-net
run port-list
run port-show $N-port
run port-update $N-port --name $N-port
run security-group-create $N-group
run security-group-rule-create --protocol tcp --port-range-min 80 --port-range-max 80 $N-group
run security-group-list
run security-group-rule-list
run floatingip-list
run quota-show
run quota-list
run availability-zone-list
run net-show $N-net
run net-update $N-net --name $N-net
run port-delete $N-port
run router-interface-delete $N-router $N-subnet
run router-delete $N-router
run subnet-delete $N-subnet
run net-delete $N-net
run security-group-delete $N-group
