"""What a process tells of itself."""

from typing import Any

from kilonova.kit.metrics import make_metrics_app
from kilonova.kit.testing import asgi_client


async def test_the_format_is_openmetrics() -> None:
    app: Any = make_metrics_app()
    async with asgi_client(app) as metrics:
        answer = await metrics.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "# TYPE kilonova_task_steps counter" in answer.text
    assert answer.text.endswith("# EOF\n")
