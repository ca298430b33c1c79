"""The library behind Stage-1 Pro: frozen values and pure functions, without an orchestrator or a tracker."""

__version__ = "0.1.0"
