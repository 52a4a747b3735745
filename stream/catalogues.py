"""The catalogue a site runs on: the shipped one, with the site's local codes.

Owns that join. Must not know a code itself: they are data in `features` and in the configuration.
"""

from __future__ import annotations

from features.catalogue import Catalogue, UnknownFeatureError, default_catalogue
from stream.settings import ConfigurationError, Settings


def catalogue_for(settings: Settings) -> Catalogue:
    """Give the catalogue with the site's local codes in it; raises `ConfigurationError` naming the code at fault.

    >>> catalogue_for(Settings()) is default_catalogue()
    True
    """
    codes = {(system, code): feature for system, table in settings.codes.items() for code, feature in table.items()}
    try:
        return default_catalogue().with_codes(codes) if codes else default_catalogue()
    except UnknownFeatureError as error:
        raise ConfigurationError(f"codes: {error} is no feature of the catalogue, nor a LOINC code of one") from None
    except ValueError as error:
        raise ConfigurationError(f"codes: {error}") from None
