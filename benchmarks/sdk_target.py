"""A target after the SDK's template, which parses and checks all it gets and then drops it.

``python -m benchmarks.sdk_target < MESSAGES``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Target
from singer_sdk.sinks import BatchSink
from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.sinks import Sink


class Rows(BatchSink):
    """Sink that loads nothing."""

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        """Drop the rows."""


class SdkTarget(Target):
    """Target whose own work takes no time."""

    name = "sdk-target"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    default_sink_class: type[Sink] = Rows


if __name__ == "__main__":
    SdkTarget.cli()
