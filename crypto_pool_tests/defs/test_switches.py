"""The daily run that 1.0.0 had in one schedule, switched by hand, is switched whole."""

import pytest
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from crypto_pool import CODE_LOCATION
from crypto_pool.building import open_instance
from crypto_pool.defs.schedules import schedules
from crypto_pool.defs.switches import BESIDE_DAILY, DAILY, follow_daily_pool
from crypto_pool.settings import Settings

LOCATION = ManagedGrpcPythonEnvCodeLocationOrigin(
    LoadableTargetOrigin(module_name=CODE_LOCATION), location_name=CODE_LOCATION
)
REPOSITORY = RemoteRepositoryOrigin(LOCATION, "__repository__")
ON, OFF, AS_SET = (
    InstigatorStatus.RUNNING,
    InstigatorStatus.STOPPED,
    InstigatorStatus.DECLARED_IN_CODE,
)


@pytest.fixture
def instance(tmp_path):
    with open_instance(Settings(_env_file=None, dagster_home=tmp_path)) as instance:
        yield instance


def switch(instance, name, status):
    """Switch a schedule as the Dagster UI does."""
    origin = RemoteInstigatorOrigin(REPOSITORY, name)
    instance.add_instigator_state(
        InstigatorState(
            origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("20 0 * * *", 0.0)
        )
    )


def switches(instance):
    return {state.instigator_name: state.status for state in instance.all_instigator_state()}


def test_each_schedule_of_the_daily_run_is_known():
    assert {DAILY, *BESIDE_DAILY} == {schedule.name for schedule in schedules}


@pytest.mark.parametrize(("status", "word"), [(ON, "on"), (OFF, "off")])
def test_the_daily_run_is_switched_whole_and_each_is_found_where_dagster_looks(
    instance, status, word
):
    switch(instance, DAILY, status)
    said = follow_daily_pool(instance)
    assert said == (
        f"switched {word}, as the schedule daily_pool is: "
        "daily_features, daily_outcomes, daily_panel"
    )
    for name in BESIDE_DAILY:
        origin = RemoteInstigatorOrigin(REPOSITORY, name)
        found = instance.get_instigator_state(origin.get_id(), origin.get_selector().get_id())
        assert found.status == status
        assert found.instigator_data.start_timestamp > 0  # no day before is asked for
    assert follow_daily_pool(instance) == ""


@pytest.mark.parametrize("status", [None, AS_SET])
def test_what_the_settings_switch_is_left_to_them(instance, status):
    if status is not None:
        switch(instance, DAILY, status)
    before = switches(instance)
    assert follow_daily_pool(instance) == ""
    assert switches(instance) == before


def test_what_was_switched_by_itself_stays(instance):
    switch(instance, DAILY, ON)
    switch(instance, "daily_panel", OFF)
    follow_daily_pool(instance)
    assert switches(instance) == {
        DAILY: ON,
        "daily_features": ON,
        "daily_outcomes": ON,
        "daily_panel": OFF,
    }
