"""How we behave towards customers, as configured: quiet hours, office hours, how often is too often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scrm.desk.frequency import Limits
from scrm.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """The defaults are those of config/default.toml."""

    quiet_hours: str = "21:00-08:30"
    business_hours: str = "1-5 09:00-12:00, 1-5 13:30-18:00"
    #: By purpose; a purpose that is not named has no limit.
    limits: Mapping[str, Limits] = field(
        default_factory=lambda: {
            "marketing": Limits(per_day=1, per_month=8, household_per_day=2, household_per_month=12),
            "sop": Limits(per_day=2, per_month=30, household_per_day=3, household_per_month=45),
        }
    )


def of(settings: Settings) -> Manners:
    return Manners(
        quiet_hours=settings.quiet_hours,
        business_hours=settings.business_hours,
        limits={
            "marketing": Limits(
                per_day=settings.marketing_per_day,
                per_month=settings.marketing_per_month,
                household_per_day=settings.marketing_household_per_day,
                household_per_month=settings.marketing_household_per_month,
            ),
            "sop": Limits(
                per_day=settings.sop_per_day,
                per_month=settings.sop_per_month,
                household_per_day=settings.sop_household_per_day,
                household_per_month=settings.sop_household_per_month,
            ),
        },
    )
