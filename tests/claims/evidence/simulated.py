"""Simulated studies, judged."""

from repro.claims.evidence.judging import judge
from tests.claims import made


def verdicts(study, effects=None, sd=0.003, form="10m", *, any_commit=False, **values):
    return judge(study, form, made.results(study, form, effects, sd, **values), any_commit=any_commit)


def verdict(effects=None, sd=0.003, *, primary="polynorm < swiglu", **values):
    return verdicts(made.study(primary=primary, secondary=()), effects, sd, **values)[0]
