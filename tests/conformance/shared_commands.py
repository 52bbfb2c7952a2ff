"""The commands that ask several services, or none; what they ask of one service stands in that service's table."""

from tests.conformance.rows import Row, Table

ROWS = [
    Row("availability zone list", shows="nova", user="demo"),
    Row("extension list", shows="quotas"),
    Row("extension list --long --network", shows="quotas"),
    Row("extension list --compute --identity"),
    Row("extension show quotas", shows="quotas"),
    Row("extension show nothing", 1, "nothing"),
    Row("versions show", shows="image", user="demo"),
    Row("versions show --all-interfaces --service network --region-name RegionOne --status CURRENT", shows="v2.0"),
    Row("versions show --interface internal --service identity", shows="v3"),
    Row("configuration show", shows="auth.username", user="demo"),
    Row("configuration show --mask", shows="redacted", user="demo"),
    Row("configuration show --unmask", shows="auth.password", user="demo"),
    Row("command list --group openstack.placement.v1", shows="resource provider list"),
    Row("module list", shows="openstackclient"),
    Row("module list --all", shows="keystoneauth1"),
    Row("quota show --all", shows="instances", user="demo"),
    Row("project cleanup --dry-run --auth-project", user="demo"),
    Row("role add --project demo --user admin member"),
    Row("project cleanup --dry-run --project demo --project-domain default --skip-resource network"),
    Row("project cleanup --auto-approve --auth-project --created-before 2020-01-01T00:00:00", user="demo"),
    Row("project cleanup --auto-approve --auth-project --updated-before 2020-01-01T00:00:00", user="demo"),
    Row("cloud cache delete"),
]

NO_SHARES = "there are no shared file systems yet"
LEFT_OUT = {
    "availability zone list --share": NO_SHARES,
    "quota set --rbac-policies": "not part of this API yet",
    "quota set --subnetpools": "not part of this API yet",
}

TABLE = Table("shared", ("openstack.common", "openstack.cli"), ROWS, LEFT_OUT)
