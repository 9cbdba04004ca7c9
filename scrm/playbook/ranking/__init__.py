"""Which scripts answer what the customer just said, best first, each with its reason in a sentence. Pure."""

from scrm.playbook.ranking.index import Index
from scrm.playbook.ranking.intents import Intent, read_intents
from scrm.playbook.ranking.speech import normal, tokens
from scrm.playbook.ranking.values import Moment, Suggestion

__all__ = ["Index", "Intent", "Moment", "Suggestion", "normal", "read_intents", "tokens"]
