"""The call graph of the demo, folded from events: no process, no terminal."""

import pytest

from resonate_trio.cli.demo.graph import CallGraph, State, Tally


def state(graph: CallGraph, id: str) -> State:
    """Return the state of an invocation."""
    return graph.invocation(id).state


@pytest.fixture
def graph() -> CallGraph:
    """Return a graph in which `root`, on foo/1, waits for `root:2`, after the step `root:1` was executed."""
    graph = CallGraph()
    foo = graph.observer("foo/1")
    foo.task_started("root", "checkout")
    foo.invoked("root:1", "local", "reserve", "root")
    foo.step_executed("root:1", "reserve")
    foo.invoked("root:2", "remote", "ship", "root")
    foo.task_suspended("root")
    return graph


def test_flow_has_its_root_and_all_below_it(graph: CallGraph) -> None:
    """Invocations of another root belong to another flow."""
    graph.observer("foo/1").task_started("root2", "other")
    assert [invocation.id for invocation in graph.flow("root")] == ["root", "root:1", "root:2"]
    assert [invocation.name for invocation in graph.children("root")] == ["reserve", "ship"]


def test_states_follow_the_events(graph: CallGraph) -> None:
    """A suspended caller, a finished step, and an invocation that no worker has taken yet."""
    assert state(graph, "root") is State.SUSPENDED
    assert state(graph, "root:1") is State.DONE
    assert state(graph, "root:2") is State.WAITING


def test_start_may_be_told_before_the_invocation(graph: CallGraph) -> None:
    """Two processes tell independently; the caller's word does not undo what the callee has told."""
    graph.observer("bar/1").task_started("root:3", "pack")
    graph.observer("foo/1").invoked("root:3", "remote", "pack", "root")
    assert state(graph, "root:3") is State.RUNNING
    assert graph.invocation("root:3").parent == "root"


def test_late_word_of_a_process_that_is_not_concerned_any_more_is_ignored(graph: CallGraph) -> None:
    """A task that runs elsewhere by now is neither suspended nor dropped by what its former process tells."""
    graph.observer("foo/2").task_started("root", "checkout")
    graph.observer("foo/1").task_suspended("root")
    graph.observer("foo/1").task_dropped("root", "the task went on elsewhere")
    assert state(graph, "root") is State.RUNNING
    assert graph.tally("root").cut_off == 0


def test_killing_a_process_cuts_off_what_ran_there_and_nothing_else(graph: CallGraph) -> None:
    """Of a suspended task nothing was running, and a finished step stays finished."""
    graph.observer("foo/1").task_started("root:2", "ship")
    graph.killed("foo/1")
    assert state(graph, "root") is State.KILLED
    assert state(graph, "root:1") is State.DONE
    assert state(graph, "root:2") is State.KILLED
    assert graph.tally("root") == Tally(executed=1, cut_off=1)


def test_dropped_task_takes_its_running_steps_with_it(graph: CallGraph) -> None:
    """A lost lease ends the function and the local steps that it was running."""
    foo = graph.observer("foo/1")
    foo.task_resumed("root")
    foo.invoked("root:3", "local", "charge", "root")
    foo.task_dropped("root", "the lease is over")
    assert state(graph, "root:3") is State.KILLED
    assert graph.tally("root").cut_off == 2


def test_replay_in_another_process_executes_nothing_again(graph: CallGraph) -> None:
    """Steps that are replayed are counted as such, and those that are new as executed."""
    graph.killed("foo/1")
    foo = graph.observer("foo/2")
    foo.task_started("root", "checkout")
    foo.invoked("root:1", "local", "reserve", "root")
    foo.step_replayed("root:1", "reserve")
    foo.invoked("root:2", "remote", "ship", "root")
    bar = graph.observer("bar/1")
    bar.task_started("root:2", "ship")
    bar.task_finished("root:2", "resolved")
    foo.task_finished("root", "resolved")
    assert graph.tally("root") == Tally(executed=3, replayed=1)
    assert graph.invocation("root").processes == ["foo/1", "foo/2"]
    assert graph.invocation("root:1").processes == ["foo/1"]


def test_flow_is_over_when_everything_in_it_has_an_outcome(graph: CallGraph) -> None:
    """That includes promises that someone outside settles."""
    bar = graph.observer("bar/1")
    bar.task_started("root:2", "ship")
    bar.invoked("root:2.1", "external", "promise", "root:2")
    bar.task_finished("root:2", "resolved")
    graph.observer("foo/1").task_finished("root", "rejected")
    assert not graph.is_over("root")
    graph.settled("root:2.1")
    assert graph.is_over("root")
    assert state(graph, "root") is State.FAILED


def test_find_gives_those_of_a_function_in_a_state(graph: CallGraph) -> None:
    """A flow waits for a moment by asking for it after each event."""
    assert [found.id for found in graph.find("root", "ship", State.WAITING)] == ["root:2"]
    assert not list(graph.find("root", "ship", State.RUNNING))
