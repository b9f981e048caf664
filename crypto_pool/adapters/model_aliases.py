"""Which version of a member serves, which served before, and which one shadows it."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from crypto_pool.adapters.mlflow_store import is_missing, pages
from crypto_pool.adapters.model_records import ChampionRecord
from crypto_pool.errors import ModelUnavailable

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
ROLLED_BACK_TAG = "rolled_back_at_utc"
PAGE_SIZE = 1000


class ModelAliases:
    """The aliases of the registered models, over the client a subclass gives."""

    @property
    def client(self) -> Any:
        """Give the MLflow client."""
        raise NotImplementedError

    def set_champion(self, member_name: str, version: str) -> None:
        """Let a version serve; the one that served until now becomes `previous`."""
        name, aliases = model_name(member_name), self._aliases(member_name)
        serving = aliases.get(CHAMPION)
        if serving == str(version):
            return
        if serving is not None:  # first, so that an interruption here is repaired by a repeat
            self.client.set_registered_model_alias(name, PREVIOUS, serving)
        if CHALLENGER in aliases:
            self.client.delete_registered_model_alias(name, CHALLENGER)
        self.client.set_registered_model_alias(name, CHAMPION, str(version))

    def stand_down(self, member_name: str) -> None:
        """Let nobody serve; the version that served until now becomes `previous`."""
        name, serving = model_name(member_name), self._aliases(member_name).get(CHAMPION)
        if serving is not None:
            self.client.set_registered_model_alias(name, PREVIOUS, serving)
            self.client.delete_registered_model_alias(name, CHAMPION)

    def set_challenger(self, member_name: str, version: str) -> None:
        """Let a version forecast in the champion's shadow, in place of the one before."""
        self.client.set_registered_model_alias(model_name(member_name), CHALLENGER, str(version))

    def challenger(self, member_name: str) -> ChampionRecord | None:
        """Give the version that forecasts in the champion's shadow, if any does."""
        return self._aliased(member_name, CHALLENGER)

    def version(self, member_name: str, version: str) -> ChampionRecord:
        """Give any registered version; raises ModelUnavailable with those there are."""
        from mlflow.exceptions import MlflowException

        name = model_name(member_name)
        try:
            found = self.client.get_model_version(name, str(version))
        except MlflowException as fault:
            known = sorted(
                int(other.version) for other in self.client.search_model_versions(f"name='{name}'")
            )
            there = f"there are {', '.join(map(str, known))}" if known else "there is none"
            raise ModelUnavailable(f"{name} has no version {version}: {there}.") from fault
        return ChampionRecord.from_version(member_name, found)

    def tag_version(self, member_name: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a registered version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(model_name(member_name), str(version), key, value)

    def member_names(self) -> list[str]:
        """Name every member that has a registered version."""
        return list(self.aliases())

    def serving_version(self, member_name: str) -> str | None:
        """Name the version that serves a member, if any does."""
        return self._aliases(member_name).get(CHAMPION)

    def champion(self, member_name: str) -> ChampionRecord | None:
        """Give the version that serves a member, if any does."""
        return self._aliased(member_name, CHAMPION)

    def previous(self, member_name: str) -> ChampionRecord | None:
        """Give the version that served before the champion, if any did."""
        return self._aliased(member_name, PREVIOUS)

    def champions(self, member_names: Iterable[str]) -> dict[str, ChampionRecord]:
        """Give the champions of those members that have one."""
        return self.holders(CHAMPION, member_names)

    def holders(self, alias: str, member_names: Iterable[str]) -> dict[str, ChampionRecord]:
        """Give the version that holds an alias, of those members where one does."""
        aliases = self.aliases()
        return {
            name: self._record(name, aliases[name][alias])
            for name in member_names
            if alias in aliases.get(name, {})
        }

    def aliases(self) -> dict[str, dict[str, str]]:
        """Give the version behind each alias of every member; one search for all of them."""
        search = partial(self.client.search_registered_models, max_results=PAGE_SIZE)
        return {
            str(model.name).removesuffix(model_name("")): {
                alias: str(version) for alias, version in model.aliases.items()
            }
            for model in pages(search)
        }

    def _aliases(self, member_name: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            model = self.client.get_registered_model(model_name(member_name))
        except MlflowException as fault:
            if is_missing(fault):
                return {}
            raise
        return {alias: str(version) for alias, version in model.aliases.items()}

    def _aliased(self, member_name: str, alias: str) -> ChampionRecord | None:
        version = self._aliases(member_name).get(alias)
        return None if version is None else self._record(member_name, version)

    def _record(self, member_name: str, version: str) -> ChampionRecord:
        found = self.client.get_model_version(model_name(member_name), version)
        return ChampionRecord.from_version(member_name, found)


def model_name(member_name: str) -> str:
    """Give the registered model's name of a member."""
    return f"{member_name}_model"
