from __future__ import annotations

from serving.torchserve.jvm import FOLDER_PATIENCE_S, JVM_HUNG_S, JVM_LOST_S, JvmJudge, JvmLook
from serving.workers.host import HostVerdict
from serving.workers.replacements import HostFault
from serving.workers.verdicts import LOOK_S, PING_S

PERIOD_S = LOOK_S
PROMISE_S = 10.0
"""Time within which health tells that nothing answers, as the documentation says."""
SLACK_S = 0.5
"""Time for a look that comes late and for the way of the news."""


def jvm(judge: JvmJudge, for_s: float, start_s: float = 100.0, cpu_share: float = 0.0, **look: object) -> HostVerdict:
    """Show the same look for some seconds, and return the last verdict."""
    given = {"reachable": True, "answered": 0, "stopped": False, "has_folder": True, "busy": False, **look}
    verdict = HostVerdict(answers=True)
    for step in range(round(for_s / PERIOD_S) + 1):
        now_s = start_s + step * PERIOD_S
        verdict = judge.judge(JvmLook(now_s=now_s, cpu_s=cpu_share * step * PERIOD_S, **given))  # type: ignore[arg-type]
    return verdict


def test_a_stopped_jvm_is_told_of_at_once_and_replaced_within_seconds() -> None:
    judge = JvmJudge()
    jvm(judge, 10)
    assert jvm(judge, 0, 110.5, stopped=True, reachable=False) == HostVerdict(answers=False)
    assert jvm(judge, 2.5, 111, stopped=True, reachable=False).replace is HostFault.HUNG


def test_a_jvm_that_answers_nothing_and_does_nothing_is_replaced() -> None:
    judge = JvmJudge()
    assert jvm(judge, JVM_HUNG_S - 1, reachable=False) == HostVerdict(answers=False)
    assert jvm(judge, 1, 100 + JVM_HUNG_S, reachable=False).replace is HostFault.HUNG


def test_a_jvm_that_hangs_is_told_of_within_the_time_that_is_promised() -> None:
    judge, unnoticed_s = JvmJudge(), sum(PING_S)  # it hangs just after it has answered a ping
    jvm(judge, unnoticed_s)
    silence_s = PROMISE_S - SLACK_S - unnoticed_s
    assert jvm(judge, silence_s, 100 + unnoticed_s, reachable=False) == HostVerdict(answers=False)


def test_a_jvm_that_is_slow_but_works_is_given_a_minute() -> None:
    judge = JvmJudge()
    assert jvm(judge, JVM_LOST_S - 1, cpu_share=0.1, reachable=False).replace is None
    assert jvm(JvmJudge(), JVM_LOST_S, cpu_share=0.1, reachable=False).replace is HostFault.HUNG


def test_a_jvm_whose_workers_answer_is_not_replaced_for_its_pings() -> None:
    judge = JvmJudge()
    for second in range(300):
        assert jvm(judge, 1, 100 + 1.5 * second, reachable=False, answered=second) == HostVerdict(answers=True)


def test_a_jvm_without_its_folder_is_replaced_when_nothing_runs_in_it_and_later_in_any_case() -> None:
    idle, busy = JvmJudge(), JvmJudge()
    jvm(idle, 1)
    assert jvm(idle, 0.5, 101.5, has_folder=False).replace is HostFault.FOLDER
    jvm(busy, 1)
    assert jvm(busy, FOLDER_PATIENCE_S, 101.5, has_folder=False, busy=True).replace is None
    assert jvm(busy, 1, 102 + FOLDER_PATIENCE_S, has_folder=False, busy=True).replace is HostFault.FOLDER


def test_a_folder_that_is_back_is_forgotten() -> None:
    judge = JvmJudge()
    jvm(judge, 1)
    assert jvm(judge, 0, 101.5, has_folder=False).replace is None
    assert jvm(judge, 5, 102).replace is None
    assert jvm(judge, 0, 107.5, has_folder=False).replace is None
