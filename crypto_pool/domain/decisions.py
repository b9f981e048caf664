"""What the ledger may say of a member, and which of it trained or appointed somebody."""

from typing import Literal

Decision = Literal[
    "promoted",
    "replaced",
    "refreshed",
    "kept",
    "rejected",
    "stood down",
    "rolled back",
    "quarantined",
    "expired",  # what releases before 1.1 wrote for a refreshed one
]
REPLACING: tuple[Decision, ...] = ("promoted", "replaced", "refreshed")
# After which of them a member was last trained, whoever won.
TRAININGS = (*REPLACING, "kept", "rejected", "stood down", "expired")
# What ends a quarantine: another version serves, or a person has put one back.
APPOINTMENTS = (*REPLACING, "rolled back", "expired")
