"""The parts of the benchmark, and which of them a run measures."""

PARTS = (
    *("whole", "scenarios", "alone", "growth", "memory", "stores", "correctness"),
    *("serializers", "origins", "end-to-end"),
)
ON_REQUEST = ("million", "window")  # of minutes, and not part of a whole run


def wants(part: str, only: list[str]) -> bool:
    """Whether a run that is to measure ``only`` these, or everything, measures this one."""
    return part in only or (not only and part not in ON_REQUEST)
