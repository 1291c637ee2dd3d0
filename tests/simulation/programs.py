"""Random flows, as data: a program is a list of functions, and a function is a list of operations.

An operation is a list that begins with its name; what it does is said in `flow.py`, method by method. A function
calls only functions with higher numbers, so every program ends. All of it is JSON, so that a seed that fails can
be printed, cut down, and run again.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeAlias, final

from attrs import define, field

Op: TypeAlias = list[Any]
Block: TypeAlias = list[Op]
Program: TypeAlias = list[Block]

MOST_PROMISES: Final = 22
"""More than this would make a seed take too long. A function that is called twice counts twice."""
RESTLESS: Final = frozenset({"cancel", "cancel_nursery", "first", "scope"})
"""Operations after which what happens depends on who was faster."""


def make_program(random: Random) -> Program:
    """Return a program, of functions that call each other."""
    while True:
        program = _Maker(random, calm=random.random() < 0.3).program()
        if 2 <= size(program) <= MOST_PROMISES:
            return program


def size(program: Program) -> int:
    """Return how many promises a program makes at most, about."""
    sizes: list[int] = []
    for block in reversed(program):
        sizes.insert(0, 1 + _size(block, len(program), sizes))
    return sizes[0]


def _size(block: Block, count: int, sizes: Sequence[int]) -> int:
    total = 0
    for op in block:
        match op:
            case ["call" | "start", _, int(number), *_]:
                total += sizes[number - count] if number - count >= -len(sizes) else 0
            case ["detach", int(number)]:
                total += sizes[number - count]
            case [_, *rest]:
                total += 1 + sum(_size(part, count, sizes) for part in rest if _is_block(part))
    return total


def _is_block(part: object) -> bool:
    return isinstance(part, list) and all(isinstance(op, list) for op in part)


def is_calm(program: Program) -> bool:
    """Tell whether nothing in it depends on who is faster: its outcome is the same in every run.

    A function that fails cancels what it has started.
    """
    text = repr(program)
    if "'start'" in text and "'fail'" in text:
        return False
    return all(_is_calm(op) for block in program for op in block)


def _is_calm(op: Op) -> bool:
    if op[0] in RESTLESS or (op[0] == "nursery" and (op[1] or op[2] is not None)):
        return False
    if op[0] in {"call", "start"} and op[3] is not None:
        return False
    if op[0] == "promise" and op[2] is not None:
        return False
    return all(_is_calm(inner) for part in op[1:] if _is_block(part) for inner in part)


@final
@define
class _Maker:
    random: Random
    calm: bool
    _leaves: int = field(default=0, init=False)
    _labels: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    def program(self) -> Program:
        self._count = self.random.choice([1, 2, 2, 3, 3, 4])
        return [self._block(number, depth=0, most=5 if number == 0 else 3) for number in range(self._count)]

    def _block(self, number: int, *, depth: int, most: int, in_nursery: bool = False) -> Block:
        block = []
        for _ in range(self.random.randint(1, most)):
            make = self.random.choices(*self._choices(depth, in_nursery=in_nursery))[0]
            op = make(number, depth)
            block.append(op)
            if op[0] == "start" and self.random.random() < 0.3:
                block.append(["await", op[4]])
        return block

    def _choices(self, depth: int, *, in_nursery: bool) -> tuple[list[Callable[[int, int], Op]], list[float]]:
        weights: dict[Callable[[int, int], Op], float] = {
            self._step: 3,
            self._call: 2,
            self._start: 5 if in_nursery else 2,
            self._sleep: 1,
            self._await: 1.5,
            self._fact: 0.5,
            self._detach: 0.4,
            self._promise: 0.4,
            self._fail: 0.4,
        }
        if depth < 3:
            weights |= {self._nursery: 3, self._guard: 1}
        if not self.calm:
            weights |= {self._cancel: 1}
            weights |= {self._scope: 1.5} if depth < 3 else {}
            weights |= {self._cancel_nursery: 0.5, self._first: 0.7} if in_nursery else {}
        return list(weights), list(weights.values())

    # --- Operations -------------------------------------------------------------------------------

    def _leaf(self) -> Op:
        self._leaves += 1
        kind = self.random.choices(["value", "fail", "clean"], [8, 1, 1])[0]
        return [self._leaves, kind, self._seconds(0, 3)]

    def _seconds(self, low: float, high: float) -> float:
        # A coarse grid, so that things happen at the same instant now and then.
        return self.random.randint(round(low * 4), round(high * 4)) / 4

    def _step(self, number: int, depth: int) -> Op:
        return ["step", self._leaf()]

    def _what(self, number: int) -> Any:
        later = range(number + 1, self._count)
        return self.random.choice(later) if later and self.random.random() < 0.7 else self._leaf()

    def _timeout(self) -> float | None:
        return self._seconds(0.25, 4) if not self.calm and self.random.random() < 0.1 else None

    def _call(self, number: int, depth: int) -> Op:
        return ["call", self.random.choice(["remote", "remote", "local"]), self._what(number), self._timeout()]

    def _start(self, number: int, depth: int) -> Op:
        self._labels += 1
        how = self.random.choice(["remote", "remote", "local"])
        return ["start", how, self._what(number), self._timeout(), self._labels]

    def _sleep(self, number: int, depth: int) -> Op:
        return ["sleep", self._seconds(0, 6)]

    def _await(self, number: int, depth: int) -> Op:
        return ["await", self.random.randint(1, max(1, self._labels))]

    def _fact(self, number: int, depth: int) -> Op:
        return [self.random.choice(["now", "uuid", "version"])]

    def _detach(self, number: int, depth: int) -> Op:
        later = range(number + 1, self._count)
        return ["detach", self.random.choice(later)] if later else self._step(number, depth)

    def _promise(self, number: int, depth: int) -> Op:
        self._labels += 1
        expires = self._seconds(0.5, 4) if not self.calm and self.random.random() < 0.3 else None
        return ["promise", self._seconds(0, 5), expires, self._labels]

    def _fail(self, number: int, depth: int) -> Op:
        self._leaves += 1
        return ["fail", self._leaves]

    def _nursery(self, number: int, depth: int) -> Op:
        fail_fast = not self.calm and self.random.random() < 0.7
        timeout = self._seconds(0.5, 8) if not self.calm and self.random.random() < 0.2 else None
        return ["nursery", fail_fast, timeout, self._block(number, depth=depth + 1, most=4, in_nursery=True)]

    def _guard(self, number: int, depth: int) -> Op:
        body = self._block(number, depth=depth + 1, most=3)
        return [self.random.choice(["try", "finally"]), body, self._block(number, depth=depth + 1, most=2)]

    def _scope(self, number: int, depth: int) -> Op:
        kind = self.random.choice(["move_on_after", "fail_after", "shield"])
        body = self._block(number, depth=depth + 1, most=3)
        return ["scope", kind, self._seconds(0.5, 8), body]

    def _cancel(self, number: int, depth: int) -> Op:
        return ["cancel", self.random.randint(1, max(1, self._labels)), self.random.choice([30.0, 30.0, 1.0])]

    def _cancel_nursery(self, number: int, depth: int) -> Op:
        return ["cancel_nursery"]

    def _first(self, number: int, depth: int) -> Op:
        return ["first"]
