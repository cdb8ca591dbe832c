"""What sets GRPO's alarms off, and which checkpoint is the best from before one."""

from __future__ import annotations

import json

from grpo_parts import spec_of
from transformers import TrainerControl, TrainerState

from polymlops.training.grpo_alarms import Alarm, AlarmCallback, best_step, over_optimised


def test_the_gold_alarm_reads_dynamics_and_rewards_up_to_its_step(tmp_path):
    for step, rate in {0: 0.5, 2: 0.6, 4: 0.4, 6: 0.0}.items():
        (tmp_path / f"step-{step:06d}.json").write_text(json.dumps({"step": step, "pass_rate": rate}))
    for last_reward, expected in ((3.0, "from 0.600 to 0.400"), (1.5, None)):
        alarms = AlarmCallback(spec_of(dynamics=True, alarms={"gold_patience": 1}).grpo.alarms, tmp_path)
        rows = [
            {"step": step, "reward": reward, "kl": 0.1, "diversity": 0.5}
            for step, reward in ((2, 2.0), (4, last_reward))
        ]
        state, control = TrainerState(global_step=4, log_history=rows), TrainerControl()
        alarms.on_log(None, state, control)
        assert control.should_training_stop is (expected is not None)
        assert alarms.alarm is None or expected in alarms.alarm.reason


def test_best_is_the_checkpoint_with_the_highest_reward_before_the_alarm(tmp_path):
    rows = [
        {"step": step, "reward": reward} for step, reward in ((1, 0), (2, 2), (3, 3), (4, 3), (5, 2), (6, 3), (8, 9))
    ]
    alarm = Alarm("kl", 8, "")
    assert best_step([6, 2, 8, 4], rows, alarm, tmp_path) == 4
    assert best_step([8], rows, alarm, tmp_path) == 0


def test_gold_alarm_needs_reward_up_and_gold_down_for_as_long_as_its_patience():
    assert over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 4], 2)
    assert not over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 4], 3)
    assert not over_optimised([0.5, 0.6, 0.5, 0.4], [1, 2, 3, 1.5], 2)
    assert not over_optimised([0.5, 0.6, 0.7, 0.8], [1, 2, 3, 4], 2)
    assert not over_optimised([0.5], [1], 1)
