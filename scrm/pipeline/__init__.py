"""The path from inbox to timeline (settle: small and certain) and on to reactions (react: may fail)."""

from scrm.pipeline.premises import Wakes
from scrm.pipeline.reacting import Reacting
from scrm.pipeline.settling import Settling


class Pipeline(Settling, Reacting):
    """Both, on the same premises."""

    __slots__ = ()


__all__ = ["Pipeline", "Wakes"]
