"""What the figures are to be, beside those of the peers. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import final

from attrs import frozen

from ._figures import Figure
from .systems import Mode

ALLOWED_GROWTH = 1.2
"""What is to be constant may be 20 % more in the worst case than in the best."""
MAX_SERVER_GROWTH_MIB = 100
"""What a server may take for executions that sleep, however many."""


@final
@frozen
class Verdict:
    """What came of a goal.

    Attributes:
        what: what was measured.
        wanted: what it was to be.
        found: what it is.
        is_met: whether that is good enough.
    """

    what: str
    wanted: str
    found: str
    is_met: bool


def judge(figures: Sequence[Figure]) -> list[Verdict]:
    """Return a verdict on each goal that the figures say something of."""
    index = _Index(figures)
    verdicts: list[Verdict | None] = [
        _beside_restate(index, "steps", "sequential local steps", 1_000, 2),
        _rpc(index),
        _beside_restate(index, "flows", "concurrent flows of 20 steps", 100, 3),
        _beside_restate(index, "starts", "starts of an empty function", None, 3),
        _constant(index),
        *_fan_out(index),
        _embedded(index),
        _requests(index, "server alone, promise.create one by one", 3_000, lambda case: "batches" not in case),
        _requests(index, "server alone, promise.create in batches", 15_000, lambda case: "batches" in case),
        _parked(index),
        *_sleepers(index),
    ]
    return [verdict for verdict in verdicts if verdict is not None]


@final
class _Index:
    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = tuple(figures)

    def all(self, workload: str, mode: Mode = Mode.HTTP) -> list[Figure]:
        return [figure for figure in self._figures if figure.workload == workload and figure.mode == mode]

    def by_size(self, workload: str, mode: Mode = Mode.HTTP) -> Mapping[int, Figure]:
        return {figure.size: figure for figure in self.all(workload, mode) if figure.size is not None}

    def pair(self, one: tuple[str, Mode], other: tuple[str, Mode], size: int) -> tuple[Figure, Figure] | None:
        """Return the figures of two workloads at the largest size up to `size` that both have."""
        ones, others = self.by_size(*one), self.by_size(*other)
        common = [each for each in ones if each in others and each <= size]
        return (ones[max(common)], others[max(common)]) if common else None


def _beside_restate(index: _Index, workload: str, what: str, size: int | None, factor: float) -> Verdict | None:
    if size is None:
        both = (*index.all(workload), *index.all(workload, Mode.RESTATE))
    else:
        both = index.pair((workload, Mode.HTTP), (workload, Mode.RESTATE), size) or ()
    if len(both) != 2:
        return None
    own, peer = both
    found = f"{own.rate:,.0f}/s, {own.rate / peer.rate:.2f} × Restate ({peer.rate:,.0f}/s)"
    return Verdict(f"{what}, {own.case}", f"{factor:g} × Restate", found, own.rate >= factor * peer.rate)


def _rpc(index: _Index) -> Verdict | None:
    both = index.pair(("rfcs", Mode.HTTP), ("rfcs", Mode.RESTATE), 100)
    if both is None:
        return None
    own, peer = both
    found = f"{own.median_ms:.2f} ms, {own.median_ms / peer.median_ms:.2f} × Restate ({peer.median_ms:.2f} ms)"
    what = f"call of another worker's function, median, {own.case}"
    return Verdict(what, "half of Restate's", found, own.median_ms <= peer.median_ms / 2)


def _constant(index: _Index) -> Verdict | None:
    sizes = index.by_size("rfcs")
    if len(sizes) < 2:
        return None
    times = [1000 / figure.rate for figure in sizes.values()]
    what = f"sequential RFCs, n = {min(sizes):,} … {max(sizes):,}: time of each"
    found = f"{min(times):.2f} to {max(times):.2f} ms"
    return Verdict(what, "constant within 20 %", found, max(times) <= ALLOWED_GROWTH * min(times))


def _fan_out(index: _Index) -> Iterable[Verdict]:
    counted = index.by_size("fan-out-requests")
    if counted:
        requests = counted[max(counted)].total.amounts["requests by the parent"]
        what = f"fan-out, n = {max(counted):,}: requests by the parent"
        yield Verdict(what, "no more than 8", f"{requests:.0f}", requests <= 8)
    both = index.pair(("fan-out", Mode.HTTP), ("children", Mode.HTTP), 1_000)
    if both is not None:
        own, alone = both
        ratio = alone.rate / own.rate
        what = f"fan-out, {own.case}: wall time beside that of the children alone"
        yield Verdict(what, "below 2 ×", f"{ratio:.2f} ×", ratio < 2)


def _embedded(index: _Index) -> Verdict | None:
    both = index.pair(("steps", Mode.EMBEDDED_MEMORY), ("steps", Mode.RESONATE_SDK), 50)
    if both is None:
        return None
    own, peer = both
    found = f"{own.rate:,.0f}/s, {own.rate / peer.rate:.1f} × resonate-sdk ({peer.rate:,.0f}/s)"
    what = f"embedded, in memory: sequential steps, {own.case}"
    is_met = own.rate >= max(10_000, 10 * peer.rate)
    return Verdict(what, "10,000/s, and 10 × resonate-sdk", found, is_met)


def _requests(index: _Index, what: str, wanted: int, is_meant: Callable[[str], bool]) -> Verdict | None:
    figures = [figure for figure in index.all("requests") if is_meant(figure.case)]
    if not figures:
        return None
    best = max(figures, key=lambda figure: figure.rate)
    return Verdict(f"{what}, {best.case}", f"{wanted:,}/s", f"{best.rate:,.0f}/s", best.rate >= wanted)


def _parked(index: _Index) -> Verdict | None:
    sizes = index.by_size("parked")
    if not sizes:
        return None
    each = sizes[max(sizes)].total.amounts["KiB each"]
    what = f"a worker's memory for one parked execution, of {max(sizes):,}"
    return Verdict(what, "below 20 KiB", f"{each:.1f} KiB", each < 20)


def _sleepers(index: _Index) -> Iterable[Verdict]:
    sizes = index.by_size("sleepers")
    if not sizes:
        return
    few, many = sizes[min(sizes)], sizes[max(sizes)]
    what = f"{max(sizes):,} suspended executions on one server"
    growth = many.median_ms / few.median_ms
    found = f"{few.median_ms:.2f} ms without them, {many.median_ms:.2f} ms with them"
    yield Verdict(f"{what}: a call beside them", "no slower (20 %)", found, growth <= ALLOWED_GROWTH)
    before, after = (figure.total.amounts["server MiB"] for figure in (few, many))
    found = f"{before:.0f} MiB without them, {after:.0f} MiB with them"
    is_met = after - before <= MAX_SERVER_GROWTH_MIB
    yield Verdict(f"{what}: memory of the server", f"no more than {MAX_SERVER_GROWTH_MIB} MiB more", found, is_met)
    ended = [figure for figure in index.all("sleepers") if figure.size is None]
    yield from (
        Verdict(f"{what}: woken and finished", "all", f"all, {each.rate:,.0f}/s", is_met=True) for each in ended
    )
