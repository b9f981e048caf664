"""The registered versions of each member, and the aliases that show which of them serves.

Who serves is written in the ledger; the aliases follow it.
"""

import json
from collections import defaultdict, namedtuple
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from crypto_pool.adapters.mlflow.candidate_run import HASHES_TAG, MODEL_URI_TAG
from crypto_pool.adapters.mlflow.recording import register_version
from crypto_pool.adapters.mlflow.runs import load_from
from crypto_pool.adapters.mlflow.store import (
    OWN_TAG,
    REGISTERED_MODEL,
    MlflowStore,
    is_missing,
    local_path,
    pages,
    require_writable,
)
from crypto_pool.adapters.mlflow.version import Version, model_name, read_version, version_in_words
from crypto_pool.adapters.sqlite_files import reach_disk
from crypto_pool.adapters.unfinished_files import sync_tree
from crypto_pool.errors import ModelUnavailable, UntrustedModel

if TYPE_CHECKING:
    from crypto_pool.domain.fitting import TrainedCandidate
    from crypto_pool.domain.served_model import ServedModel

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
WHAT_IT_IS = (
    "Whether the {trend} of {symbol} comes, as a probability. The alias `champion` serves. Rows of "
    "the view `model_input` are what `mlflow.pyfunc.load_model` gives its stored forecasts for."
)
PAGE_SIZE = 1000
CHUNK = 10_000  # of versions; SQLite takes three times as many values in a query
# By the primary keys, which begin with the workspace; that of tags has the key before the name.
STORED = """WITH wanted(name, version) AS (VALUES {})
    SELECT v.name, v.version, run_id, source, creation_time
    FROM wanted CROSS JOIN model_versions v
        ON v.workspace = 'default' AND v.name = wanted.name AND v.version = wanted.version
    WHERE current_stage <> 'Deleted_Internal'"""
STORED_TAGS = """WITH RECURSIVE wanted(name, version) AS (VALUES {}), keys(key) AS (
        SELECT min(key) FROM model_version_tags WHERE workspace = 'default' UNION ALL
        SELECT (SELECT min(key) FROM model_version_tags
            WHERE workspace = 'default' AND key > keys.key) FROM keys WHERE key IS NOT NULL)
    SELECT t.name, t.version, t.key, value
    FROM keys CROSS JOIN wanted CROSS JOIN model_version_tags t ON t.workspace = 'default'
        AND t.key = keys.key AND t.name = wanted.name AND t.version = wanted.version"""
STORED_ALIASES = """SELECT name, alias, version FROM registered_model_tags
    LEFT JOIN registered_model_aliases USING (name) WHERE key = ? AND value = ?"""
ModelVersion = namedtuple("ModelVersion", "version run_id source creation_timestamp")


class Versions:
    """The registered versions in one store."""

    def __init__(self, store: MlflowStore, page_url: str = "") -> None:
        """Use a store; nothing is opened before it is needed. Descriptions link to the page."""
        self.store = store
        self.page_url = page_url

    def register(
        self,
        member_name: str,
        candidate: "TrainedCandidate",
        tags: Mapping[str, str],
        given_before: int = 0,
    ) -> str:
        """Register the model of a candidate, or find the version it has; its tags end as given.

        Where MLflow has lost all of the member's, its number is above `given_before`.
        """
        client, name = self.store.client, model_name(member_name)
        given = {
            **{key: str(value) for key, value in tags.items()},
            OWN_TAG: "version",
            HASHES_TAG: json.dumps(dict(candidate.model_hashes)),
        }
        known = self.of_run(member_name, candidate.run_id)
        if known is not None:
            self.tag(member_name, known.version, given)
            return known.version
        symbol, _, trend = member_name.rpartition("_")
        own = {OWN_TAG: REGISTERED_MODEL, "symbol": symbol, "trend": trend}
        model = {"tags": own, "description": self._linked(member_name, WHAT_IT_IS)}
        run_tags = client.get_run(candidate.run_id).data.tags
        logged = client.get_logged_model(run_tags[MODEL_URI_TAG].removeprefix("models:/"))
        words = self._linked(member_name, version_in_words(given, candidate.recipe.target))
        return register_version(client, name, logged, given, words, model, given_before)

    def reach_disk(self, version: Version) -> None:
        """Bring a version, its run and the files of both to the disk: the ledger may name them.

        Raises:
            ModelUnavailable: another process goes on writing to the store.
        """
        run = self.store.client.get_run(version.run_id).info
        for location in (str(run.artifact_uri), version.location):
            folder = local_path(location)
            if folder is not None:
                sync_tree(folder)
        require_writable(self.store.tracking_uri)
        reach_disk(self.store.tracking_uri)

    def get(self, member_name: str, version: str) -> Version:
        """Return any registered version; raises ModelUnavailable with those there are."""
        for stored in self.get_all([(member_name, str(version))]).values():
            return stored
        name = model_name(member_name)
        known = sorted(int(other.version) for other in self._all(f"name='{name}'"))
        there = f"there are {', '.join(map(str, known))}" if known else "there is none"
        raise ModelUnavailable(f"{name} has no version {version}: {there}.")

    def get_all(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """Return those of many registered versions that there are, by member and version."""
        pairs, found = list(wanted), {}
        for start in range(0, len(pairs), CHUNK):
            own = {(model_name(name), version): name for name, version in pairs[start:][:CHUNK]}
            placeholders = ", ".join(["(?, ?)"] * len(own))
            values = [one for key in own for one in key]
            versions = self.store.rows(STORED.format(placeholders), *values)
            stored_tags = self.store.rows(STORED_TAGS.format(placeholders), *values)
            if versions is None or stored_tags is None:  # another store than SQLite's
                return self._search(pairs)
            tags: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
            for name, version, key, value in stored_tags:
                tags[name, str(version)][key] = value
            for name, version, *fields in versions:
                key = name, str(version)
                made = read_version(own[key], ModelVersion(version, *fields), tags[key])
                found[own[key], str(version)] = made
        return found

    def _search(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        own = {model_name(member_name): member_name for member_name, _ in pairs}
        there_are = self._all(f"name='{next(iter(own))}'" if len(own) == 1 else "")
        every = [read_version(own[v.name], v, v.tags) for v in there_are if v.name in own]
        there = {(one.member_name, one.version): one for one in every}
        return {pair: there[pair] for pair in pairs if pair in there}

    def of_run(self, member_name: str, run_id: str) -> Version | None:
        """Return the version registered for a run, if there is one."""
        wanted = f"name = '{model_name(member_name)}' and run_id = '{run_id}'"
        known = sorted(self._all(wanted), key=lambda version: int(version.version))
        return read_version(member_name, known[-1], known[-1].tags) if known else None

    def registered_runs(self) -> frozenset[str]:
        """Return the runs that a version was registered from."""
        return frozenset(str(version.run_id) for version in self._all(""))

    def tag(self, member_name: str, version: str, tags: Mapping[str, str]) -> None:
        """Set those tags of a version that are not as given."""
        known = self.store.client.get_model_version(model_name(member_name), str(version)).tags
        for key, value in tags.items():
            if known.get(key) != value:
                self.store.client.set_model_version_tag(
                    model_name(member_name), str(version), key, value
                )

    def load(
        self, member_name: str, version: str, ledger_hashes: Mapping[str, str] | None = None
    ) -> "ServedModel":
        """Load a registered version, after checking it against the hashes it was logged with.

        Without those of the ledger it is tried in a process of its own before.

        Raises UntrustedModel or ModelUnavailable, with the version and the ways out.
        """
        title = f"{model_name(member_name)} version {version}"
        try:
            known = self.get(member_name, version)
            hashes = ledger_hashes or known.model_hashes or self._hashes_of_run(known, title)
            is_known = bool(ledger_hashes)
            return load_from(self.store, known.location, hashes, title, is_known=is_known)
        except (ModelUnavailable, UntrustedModel) as fault:
            raise type(fault)(
                f"{str(fault).rstrip('.')}; let another version serve with `crypto-pool rollback "
                f"{member_name}`, or train the member again"
            ) from fault

    def aliases(self) -> dict[str, dict[str, str]]:
        """Return the version behind each alias of every member; one search for all of them."""
        stored = self.store.rows(STORED_ALIASES, OWN_TAG, REGISTERED_MODEL)
        if stored is not None:
            known: dict[str, dict[str, str]] = {}
            for name, alias, version in stored:
                aliases = known.setdefault(name.removesuffix(model_name("")), {})
                aliases |= {} if alias is None else {alias: str(version)}
            return known
        search = partial(self.store.client.search_registered_models, max_results=PAGE_SIZE)
        return {
            str(model.name).removesuffix(model_name("")): {
                alias: str(version) for alias, version in model.aliases.items()
            }
            for model in pages(search)
            if model.tags.get(OWN_TAG) == REGISTERED_MODEL
        }

    def aliases_of(self, member_name: str) -> dict[str, str]:
        """Return the version behind each alias of one member."""
        from mlflow.exceptions import MlflowException

        try:
            model = self.store.client.get_registered_model(model_name(member_name))
        except MlflowException as fault:
            if is_missing(fault):
                return {}
            raise
        return {alias: str(version) for alias, version in model.aliases.items()}

    def set_aliases(self, member_name: str, wanted: Mapping[str, str | None]) -> None:
        """Point each alias at its version, or remove it."""
        client, name = self.store.client, model_name(member_name)
        known = self.aliases_of(member_name)
        for alias, version in wanted.items():
            if version is None and alias in known:
                client.delete_registered_model_alias(name, alias)
            elif version != known.get(alias):
                client.set_registered_model_alias(name, alias, version)

    def _hashes_of_run(self, version: Version, title: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return dict(json.loads(self.store.client.get_run(version.run_id).data.tags[HASHES_TAG]))
        except (MlflowException, KeyError, ValueError) as fault:
            raise ModelUnavailable(
                f"{title}: what its files were is not known ({fault})."
            ) from fault

    def _all(self, wanted: str) -> list[Any]:
        search = partial(
            self.store.client.search_model_versions, wanted or None, max_results=PAGE_SIZE
        )
        return list(pages(search))

    def _linked(self, member_name: str, words: str) -> str:
        symbol, _, trend = member_name.rpartition("_")
        page = f"{self.page_url}/members/{member_name}.html"
        text = words.format(symbol=symbol, trend=trend)
        return f"{text} [Its page]({page})." if self.page_url else text
