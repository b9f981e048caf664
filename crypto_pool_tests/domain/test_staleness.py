"""Why a member is stale, and who is trained first within the daily budget."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from crypto_pool.domain.intervals import Estimate
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.performance import Performance
from crypto_pool.domain.staleness import (
    MemberState,
    RetrainRules,
    Urgency,
    judge_staleness,
    plan_training,
)

TODAY = date(2023, 6, 30)
RULES = RetrainRules()
BTC, ETH, ADA = (Member(symbol, Trend.UPTREND) for symbol in ("BTC", "ETH", "ADA"))
FRESH = MemberState(BTC, has_champion=True, trained_as_of=TODAY - timedelta(days=29))
POOR = Performance(rows=120, skill_over_reference=Estimate(-0.5), p_value=0.05)


def judge(**changes):
    return judge_staleness(replace(FRESH, **changes), TODAY, RULES)


def test_a_fresh_member_is_not_stale():
    assert judge() is None
    assert judge(performance=replace(POOR, p_value=0.2), drift=0.5, new_labelled_rows=59) is None
    assert judge(performance=replace(POOR, p_value=0.21)) is None
    assert judge(performance=replace(POOR, p_value=None)) is None


@pytest.mark.parametrize(
    ("changes", "urgency", "words"),
    [
        ({"has_champion": False}, Urgency.NO_CHAMPION, "no champion"),
        ({"trained_as_of": TODAY - timedelta(days=30)}, Urgency.AGE, "30 days ago"),
        ({"trained_as_of": TODAY - timedelta(days=31)}, Urgency.AGE, "31 days ago"),
        ({"new_labelled_rows": 60}, Urgency.ROWS, "60 labelled rows"),
        ({"new_labelled_rows": 61}, Urgency.ROWS, "61 labelled rows"),
        ({"performance": replace(POOR, p_value=0.19)}, Urgency.SKILL, "skill -0.500"),
        ({"drift": 0.6, "drifted_feature": "MACD"}, Urgency.DRIFT, "60% of the latest MACD"),
        ({"performance": POOR}, Urgency.SKILL, "skill -0.500"),
        ({"fault": "MACD is new"}, Urgency.SCHEMA, "MACD is new"),
        ({"code_changed": True}, Urgency.CODE, "code"),
        ({"quarantine": "worse than chance"}, Urgency.QUARANTINE, "worse than chance"),
    ],
)
def test_each_reason_is_said_in_words(changes, urgency, words):
    stale = judge(**changes)
    assert list(stale.reasons) == [urgency]
    assert words in stale.words


def test_reasons_are_told_the_worst_first():
    stale = judge(has_champion=False, new_labelled_rows=100, drift=0.9, code_changed=True)
    assert list(stale.reasons) == [
        Urgency.NO_CHAMPION,
        Urgency.CODE,
        Urgency.DRIFT,
        Urgency.ROWS,
    ]


def test_every_reason_is_told_apart():
    everything = judge(
        has_champion=False,
        quarantine="worse than chance",
        fault="MACD is new",
        performance=POOR,
        code_changed=True,
        drift=0.9,
        trained_as_of=TODAY - timedelta(days=30),
        new_labelled_rows=60,
    )
    assert len(everything.reasons) == 8
    assert list(everything.reasons) == sorted(Urgency, reverse=True)


def stale(member, **changes):
    return judge_staleness(replace(FRESH, member=member, **changes), TODAY, RULES)


def test_the_worst_are_trained_first_within_the_daily_budget():
    members = [
        stale(BTC, new_labelled_rows=90),
        stale(ETH, has_champion=False),
        stale(ADA, drift=0.9),
    ]
    plan = plan_training(members, {}, 0, TODAY, RetrainRules(daily_members=2))
    assert [one.member for one in plan.chosen] == [ETH, ADA]
    assert "retrain_daily_members is 2" in plan.waiting[BTC]
    for requested, left in ((1, 1), (2, 0), (3, 0)):
        spent = plan_training(members, {}, requested, TODAY, RetrainRules(daily_members=2))
        assert len(spent.chosen) == left
    many = [stale(Member(f"A{number}", Trend.UPTREND), drift=0.9) for number in range(50)]
    assert len(plan_training(many, {}, 0, TODAY, RetrainRules()).chosen) == 40


def test_of_two_as_badly_off_the_one_with_more_reasons_is_first():
    members = [stale(ADA, has_champion=False), stale(BTC, has_champion=False, code_changed=True)]
    plan = plan_training(members, {}, 0, TODAY, RetrainRules())
    assert [one.member for one in plan.chosen] == [BTC, ADA]


def test_none_is_trained_twice_within_the_cooldown():
    members = [stale(one, has_champion=False) for one in (BTC, ETH, ADA)]
    asked = {one: TODAY - timedelta(days=age) for one, age in ((BTC, 6), (ETH, 7), (ADA, 8))}
    plan = plan_training(members, asked, 0, TODAY, RetrainRules(cooldown_days=7))
    assert [one.member for one in plan.chosen] == [ADA, ETH]
    assert "2023-06-24" in plan.waiting[BTC]


def test_a_member_that_waits_uses_up_no_budget():
    members = [stale(BTC, has_champion=False), stale(ETH, drift=0.9)]
    plan = plan_training(members, {BTC: TODAY}, 0, TODAY, RetrainRules(daily_members=1))
    assert [one.member for one in plan.chosen] == [ETH]


@pytest.mark.parametrize(
    ("days_ago", "unserved", "due_in"),
    [(None, False, 0), (3, False, 27), (30, False, 0), (99, False, 0), (3, True, 4), (9, True, 0)],
)
def test_a_member_is_due_by_age_or_once_its_cooldown_is_over(days_ago, unserved, due_in):
    trained = None if days_ago is None else TODAY - timedelta(days=days_ago)
    due = RetrainRules().next_training(trained, TODAY, unserved=unserved)
    assert due == TODAY + timedelta(days=due_in)


def test_the_day_it_names_is_the_first_on_which_a_fresh_member_is_stale():
    for rules in (RetrainRules(), RetrainRules(90, 20)):
        due = rules.next_training(TODAY, TODAY, unserved=False)
        for day, is_stale in ((due - timedelta(days=1), False), (due, True)):
            rows = (day - TODAY).days
            state = MemberState(BTC, True, trained_as_of=TODAY, new_labelled_rows=rows)
            assert (judge_staleness(state, day, rules) is not None) == is_stale
