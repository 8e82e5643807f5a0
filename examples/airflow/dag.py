"""For each group of streams a DAG, with one mapped `meltano run` for each tenant.

Each instance of Acumatica has a pool, whose slots are what its licence allows at once. A group is a
DAG of its own: it has a schedule, and `max_active_runs=1` is its lock.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

FOLDER = Path(os.environ.get("SHARD_FOLDER") or Path(__file__).parent)
sys.path.insert(0, str(FOLDER))
import shard  # noqa: E402 - it lies in that folder

PASSES = 75  # the exit code of what usually passes


class RunShard(BaseOperator):  # type: ignore[misc] # installed elsewhere
    """Runs a shard in a process of its own, and fails for good unless a retry may help."""

    template_fields = ("names",)

    def __init__(self, *, names: list[str], **kwargs: Any) -> None:  # noqa: ANN401 - Airflow's
        super().__init__(**kwargs)
        self.names = names
        self.hook = SubprocessHook()

    def execute(self, context: Any) -> None:  # noqa: ANN401, ARG002 - Airflow's
        """Run it.

        Raises:
            AirflowException: It failed, and may succeed later.
            AirflowFailException: It failed, and would fail again.
        """
        command = [sys.executable, str(FOLDER / "shard.py"), *self.names]
        code = self.hook.run_command(command, cwd=str(FOLDER)).exit_code
        message = f"The shard {' '.join(self.names)} ended with exit code {code}."
        if code == PASSES:
            raise AirflowException(message)
        if code:
            raise AirflowFailException(message)

    def on_kill(self) -> None:
        """Pass the signal on, so that the tap signs out."""
        self.hook.send_sigterm()


def build(group: str, schedule: str) -> DAG:
    """Return the DAG of a group."""
    with DAG(
        dag_id=f"acumatica_{group}",
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["acumatica"],
    ) as dag:
        # Instances are few and change seldom. A pool cannot be mapped: Airflow would ignore it.
        for instance in shard.read_tenants()["instances"]:
            # At run time, so that a new tenant is a line in the file and no deployment.
            names = task(shard.shards, task_id=f"plan_{instance}")(instance, group)
            RunShard.partial(
                task_id=f"load_{instance}",
                pool=f"acumatica_{instance}",
                retries=4,
                retry_delay=timedelta(minutes=5),
                retry_exponential_backoff=2,
                execution_timeout=timedelta(hours=6),
                map_index_template="{{ task.names[1] }}",
            ).expand(names=names)
    return dag


for name, settings in shard.read_tenants()["groups"].items():
    globals()[f"acumatica_{name}"] = build(name, settings["schedule"])
