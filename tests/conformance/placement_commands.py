"""The commands of the placement service, through the osc-placement plugin of the stock client."""

from tests.conformance.rows import Row, Table

AGGREGATE = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a01"
CONSUMER = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a02"
USER = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a03"
PROJECT = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a04"
ROOT = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a05"
CHILD = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a06"
NOTHING = "8f4c8d10-3f3b-4c8e-9a39-1f3f6c0f0a07"

V = "--os-placement-api-version 1.39"

CLASSES = [
    Row("resource class list", 0, "VCPU"),
    Row(f"{V} resource class create CUSTOM_GOLD"),
    Row(f"{V} resource class create CUSTOM_GOLD", 1, "409"),
    Row(f"{V} resource class create GOLD", 1, "400"),
    Row(f"{V} resource class set CUSTOM_SILVER"),
    Row(f"{V} resource class set CUSTOM_SILVER"),
    Row(f"{V} resource class show CUSTOM_GOLD", shows="CUSTOM_GOLD"),
    Row(f"{V} resource class show CUSTOM_TIN", 1, "404"),
    Row(f"{V} resource class list", shows="CUSTOM_SILVER"),
    Row(f"{V} resource class delete CUSTOM_SILVER"),
    Row(f"{V} resource class delete VCPU", 1, "400"),
    Row(f"{V} trait create CUSTOM_FAST"),
    Row(f"{V} trait create FAST", 1, "400"),
    Row(f"{V} trait list", shows="HW_CPU_X86_VMX"),
    Row(f"{V} trait list --name startswith:CUSTOM_", shows="CUSTOM_FAST"),
    Row(f"{V} trait list --associated", shows="HW_ARCH_X86_64"),
    Row(f"{V} trait show CUSTOM_FAST", shows="CUSTOM_FAST"),
    Row(f"{V} trait show CUSTOM_SLOW", 1, "404"),
]

PROVIDERS = [
    Row(f"{V} resource provider create --uuid {ROOT} root", shows="root"),
    Row(f"{V} resource provider create --uuid {CHILD} --parent-provider {ROOT} child", shows=ROOT),
    Row(f"{V} resource provider create --uuid {ROOT} again", 1, "409"),
    Row(f"{V} resource provider create --parent-provider {NOTHING} lost", 1, "400"),
    Row(f"{V} resource provider list", shows="vm-1"),
    Row(f"{V} resource provider list --name root", shows=ROOT),
    Row(f"{V} resource provider list --uuid {CHILD}", shows="child"),
    Row(f"{V} resource provider list --in-tree {ROOT}", shows="child"),
    Row(f"{V} resource provider list --resource VCPU=1", shows="vm-2"),
    Row(f"{V} resource provider list --required HW_ARCH_X86_64", shows="vm-1"),
    Row(f"{V} resource provider list --forbidden HW_ARCH_X86_64", shows="root"),
    Row(f"{V} resource provider show {CHILD}", shows="child"),
    Row(f"{V} resource provider show {NOTHING}", 1, "404"),
    Row(f"{V} resource provider set --name infant --parent-provider {ROOT} {CHILD}", shows="infant"),
    Row("resource provider list", 1, "403", user="demo"),
    Row(f"{V} resource provider inventory set --resource VCPU=16 --resource MEMORY_MB:total=1024 {ROOT}", shows="16"),
    Row(f"{V} resource provider inventory set --amend --resource CUSTOM_GOLD=7 {ROOT}", shows="MEMORY_MB"),
    Row(f"{V} resource provider inventory set --dry-run --resource VCPU=99 {ROOT}", shows="99"),
    Row(f"{V} resource provider inventory set --resource TIN=9 {ROOT}", 1, "400"),
    Row(
        f"{V} resource provider inventory class set --allocation_ratio 2.0 --min_unit 1 --max_unit 8 --reserved 1"
        f" --step_size 1 --total 20 {ROOT} VCPU",
        shows="20",
    ),
    Row(f"{V} resource provider inventory list {ROOT}", shows="CUSTOM_GOLD"),
    Row(f"{V} resource provider inventory show {ROOT} VCPU", shows="2.0"),
    Row(f"{V} resource provider inventory show {ROOT} DISK_GB", 1, "404"),
    Row(f"{V} resource provider aggregate set --aggregate {AGGREGATE} --generation 5 {ROOT}", 1, "409"),
    Row(f"{V} resource provider show -f value -c generation {ROOT}", keep="generation"),
    Row(f"{V} resource provider aggregate set --aggregate {AGGREGATE} --generation {{generation}} {ROOT}"),
    Row(f"{V} resource provider aggregate list {ROOT}", shows=AGGREGATE),
    Row(f"{V} resource provider list --member-of {AGGREGATE}", shows="root"),
    Row(f"{V} resource provider list --aggregate-uuid {AGGREGATE}", shows="root"),
    Row(f"{V} resource provider inventory set --aggregate --amend --resource DISK_GB=50 {AGGREGATE}", shows="DISK_GB"),
    Row(f"{V} resource provider trait set --trait CUSTOM_FAST {ROOT}", shows="CUSTOM_FAST"),
    Row(f"{V} resource provider trait set --trait CUSTOM_SLOW {ROOT}", 1, "400"),
    Row(f"{V} resource provider trait list {ROOT}", shows="CUSTOM_FAST"),
]

ALLOCATIONS = [
    Row(f"{V} allocation candidate list --resource CUSTOM_GOLD=1 --limit 3", shows="CUSTOM_GOLD=1"),
    Row(f"{V} allocation candidate list --resource VCPU=1 --required CUSTOM_FAST --member-of {AGGREGATE}", shows=ROOT),
    Row(f"{V} allocation candidate list --resource VCPU=1 --forbidden CUSTOM_FAST", shows="VCPU=1"),
    Row(f"{V} allocation candidate list --resource VCPU=1 --aggregate-uuid {AGGREGATE}", shows=ROOT),
    Row(
        f"{V} allocation candidate list --group 1 --resource VCPU=1 --group 2 --resource CUSTOM_GOLD=1"
        " --group-policy none",
        shows="CUSTOM_GOLD=1",
    ),
    Row(f"{V} allocation candidate list --resource TIN=1", 1, "400"),
    Row(
        f"{V} resource provider allocation set --allocation rp={ROOT},VCPU=2 --allocation rp={ROOT},CUSTOM_GOLD=1"
        f" --project-id {PROJECT} --user-id {USER} --consumer-type INSTANCE {CONSUMER}",
        shows="VCPU",
    ),
    Row(
        f"{V} resource provider allocation set --allocation rp={ROOT},VCPU=999"
        f" --project-id {PROJECT} --user-id {USER} --consumer-type INSTANCE {NOTHING}",
        1,
        "409",
    ),
    Row(f"{V} resource provider allocation show {CONSUMER}", shows="CUSTOM_GOLD"),
    Row(f"{V} resource provider show --allocations {ROOT}", shows=CONSUMER),
    Row(f"{V} resource provider usage show {ROOT}", shows="CUSTOM_GOLD"),
    Row(f"{V} resource usage show {PROJECT}", shows="VCPU"),
    Row(f"{V} resource usage show --user-id {USER} {PROJECT}", shows="VCPU"),
    Row(f"{V} resource provider inventory delete --resource-class VCPU {ROOT}", 1, "409"),
    Row(f"{V} resource provider delete {ROOT}", 1, "409"),
    Row(f"{V} resource provider allocation unset --provider {ROOT} --resource-class VCPU {CONSUMER}"),
    Row(f"{V} resource provider allocation show {CONSUMER}", shows="CUSTOM_GOLD"),
    Row(f"{V} resource provider allocation delete {CONSUMER}"),
    Row(f"{V} resource provider allocation delete {CONSUMER}", 1, "404"),
]

ENDS = [
    Row(f"{V} resource provider trait delete {ROOT}"),
    Row(f"{V} resource provider inventory delete --resource-class VCPU {ROOT}"),
    Row(f"{V} resource provider inventory delete {ROOT}"),
    Row(f"{V} resource provider delete {CHILD}"),
    Row(f"{V} resource provider delete {ROOT}"),
    Row(f"{V} resource provider delete {ROOT}", 1, "404"),
    Row(f"{V} trait delete CUSTOM_FAST"),
    Row(f"{V} trait delete HW_CPU_X86_VMX", 1, "400"),
    Row(f"{V} resource class delete CUSTOM_GOLD"),
]

TABLE = Table("placement", ("openstack.placement.v1",), CLASSES + PROVIDERS + ALLOCATIONS + ENDS)
