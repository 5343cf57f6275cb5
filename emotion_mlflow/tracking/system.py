"""MLflow's system metrics, read here and written to the journal, so that an outage neither ends nor delays them."""

import contextlib
import threading
from collections.abc import Callable

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from emotion_mlflow.errors import TrackingError

Write = Callable[[dict[str, float], int], None]
"""Takes the figures of a moment and their step."""


class Monitor(SystemMetricsMonitor):
    """Watches this machine from `start` to `finish`; MLflow's own asks the server at each sample and gives up."""

    _process: threading.Thread | None

    def __init__(self, run_id: str, write: Write, *, tracking_uri: str, resumed: bool) -> None:
        super().__init__(run_id, resume_logging=resumed, tracking_uri=tracking_uri)
        self._write = write

    def monitor(self) -> None:
        """See SystemMetricsMonitor."""
        while not self._shutdown_event.is_set():
            for _ in range(self.samples_before_logging):
                self.collect_metrics()
                self._shutdown_event.wait(self.sampling_interval)
            self.publish_metrics(self.aggregate_metrics())

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        """See SystemMetricsMonitor."""
        prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
        with contextlib.suppress(TrackingError):  # a full disk, which the training tells; there may be room again
            self._write({prefix + name: float(value) for name, value in metrics.items()}, self._logging_step)
        self._logging_step += 1
        for monitor in self.monitors:
            monitor.clear_metrics()

    def finish(self) -> None:
        """See SystemMetricsMonitor; asks nobody."""
        self._shutdown_event.set()
        if self._process is not None:
            self._process.join(2)
            self._process = None
