"""/os-instance_usage_audit_log: which hosts have audited the use of their servers in the last whole month.

None does: usage is counted from the servers themselves when it is asked for, and so no host has anything to report.
Source: Compute API reference, "Server usage audit log (os-instance-usage-audit-log)".
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.hosts import hosts
from kilonova.kit.errors import BadRequest

MOMENT = "%Y-%m-%d %H:%M:%S"


async def show_log(request: ComputeRequest) -> dict[str, Any]:
    """GET: of the month before this one."""
    request.authorize()
    return {"instance_usage_audit_logs": await _log(request, request.service.clock.now())}


async def show_log_before(request: ComputeRequest) -> dict[str, Any]:
    """GET …/{before}: of the month before that moment's."""
    request.authorize()
    text = request.path["before"]
    try:
        before = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"Invalid timestamp for date {text[:64]}: give one such as 2026-01-31 12:00:00.") from None
    return {"instance_usage_audit_log": await _log(request, before)}


async def _log(request: ComputeRequest, before: datetime) -> dict[str, Any]:
    names = sorted(each.host.host for each in await hosts.everywhere(request.service))
    begin, end = _month_before(before)
    return {
        "hosts_not_run": names,
        "log": {},
        "num_hosts": len(names),
        "num_hosts_done": 0,
        "num_hosts_not_run": len(names),
        "num_hosts_running": 0,
        "overall_status": f"0 of {len(names)} hosts done. 0 errors." if names else "ALL hosts done. 0 errors.",
        "period_beginning": begin.strftime(MOMENT),
        "period_ending": end.strftime(MOMENT),
        "total_errors": 0,
        "total_instances": 0,
    }


def _month_before(moment: datetime) -> tuple[datetime, datetime]:
    """The whole month before the one of a moment. Raises BadRequest for a moment in the first of all months."""
    end = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    try:
        return (end - timedelta(days=1)).replace(day=1), end
    except OverflowError:
        raise BadRequest("There is no month before the first one.") from None
