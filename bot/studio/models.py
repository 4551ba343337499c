"""Page of verdicts by model version, for a comparison of versions by their accepted share."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from bot.domain.rates import Rate
from bot.ports import VersionTally
from bot.studio.site import Site, site_of

FEW = 30
"""Verdicts below which an interval is too wide to choose a version by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """View of one version."""

    tally: VersionTally
    accepted: Rate
    """Accepted share of the candidates with a verdict."""
    state: str
    """State on the model server: "champion", "live"; empty if the version is not live, or this is unknown."""

    @property
    def few(self) -> bool:
        """Whether there are too few verdicts for a comparison."""
        return self.accepted.total < FEW


def models_page(request: Request) -> Response:
    """GET /models: each version's share of accepted candidates, with its interval."""
    site = site_of(request)
    with site.parts.open_desk() as desk:
        tallies = desk.versions()
        counts = desk.counts()
    return site.page(
        "models",
        "models.html",
        versions=[_view(tally, site) for tally in tallies],
        gateway=bool(site.versions()),
        few=FEW,
        counts=counts,
    )


def _view(tally: VersionTally, site: Site) -> VersionView:
    live = site.find_version(tally.model, tally.model_version)
    return VersionView(
        tally=tally,
        accepted=Rate(count=tally.accepted, total=tally.accepted + tally.rejected),
        state="" if live is None else "champion" if live.champion else "live",
    )
