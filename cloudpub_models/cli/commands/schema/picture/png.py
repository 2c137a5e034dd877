"""An SVG picture as pixels, by ``resvg-py``, which comes with the extra ``png`` and needs nothing of the system."""

from __future__ import annotations

from cloudpub_models.errors import ConfigurationError

# Sharp on a screen with two pixels for one.
_ZOOM = 2


def png(svg: str) -> bytes:
    """Return a PNG image of an SVG picture.

    Args:
        svg: the picture, with colours of its own: whose scheme a reader prefers is not known here.

    Raises:
        ConfigurationError: the package that draws it is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ConfigurationError(
            f"a PNG needs resvg-py ({error}): pip install 'cloudpub-models[png]', or take --format svg"
        ) from error
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=_ZOOM)
