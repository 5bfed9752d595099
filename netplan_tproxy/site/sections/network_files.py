"""Files of networks, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netplan_tproxy.site.sections.listed_files import ListedFiles, UnfitLineError
from netplan_tproxy.site.sections.networks import UnfitNetworkError, parse_network

if TYPE_CHECKING:
    from netplan_tproxy.errors import Place
    from netplan_tproxy.site.sections.networks import Network


def network_files(source: str) -> ListedFiles[Network]:
    """Return a reader of those that the site file ``source`` names."""
    return ListedFiles(source, "network", "networks", _network)


def _network(words: str, _place: Place) -> Network:
    try:
        return parse_network(words)
    except UnfitNetworkError as unfit:
        raise UnfitLineError(unfit.kind) from unfit
