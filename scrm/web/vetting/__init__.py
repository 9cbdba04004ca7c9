"""Before and after sending: verdicts on drafts, promises in the way, leave from a leader, what was found."""

from scrm.web.vetting import acts, alerts, cases, rulebook, taking

ROUTES = (*acts.ROUTES, *alerts.ROUTES, *taking.ROUTES, *cases.ROUTES, *rulebook.ROUTES)
