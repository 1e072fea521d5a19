"""One hue per method, fit for both grounds: the recipe's colour, moved in lightness until it can be seen.

Lightness is changed in OKLab (Ottosson 2020), which keeps the hue; contrast is WCAG 2's.
"""

from __future__ import annotations

Triple = tuple[float, float, float]

PAPER = {"light": "#fcfcfa", "dark": "#15171a"}  # the two grounds of site/style.css
MARK_CONTRAST = 3.0  # WCAG 2.2, 1.4.11: graphical objects
NEUTRAL = "#777777"  # a method without a recipe here


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _encoded(channel: float) -> float:
    return channel * 12.92 if channel <= 0.0031308 else float(1.055 * channel ** (1 / 2.4) - 0.055)


def _rgb(colour: str) -> Triple:
    """Linear light, 0..1, of ``#rrggbb``."""
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return red, green, blue


def _hex(rgb: Triple) -> str:
    return "#" + "".join(f"{round(255 * _encoded(min(1.0, max(0.0, c)))):02x}" for c in rgb)


def _to_oklab(rgb: Triple) -> Triple:
    r, g, b = rgb
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _from_oklab(lab: Triple) -> Triple:
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _luminance(rgb: Triple) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    first, second = sorted((_luminance(_rgb(one)), _luminance(_rgb(other))), reverse=True)
    return (first + 0.05) / (second + 0.05)


def on(ground: str, colour: str, least: float = MARK_CONTRAST) -> str:
    """``colour`` as ``#rrggbb``, its lightness moved away from the ground's until the contrast is enough."""
    lightness, a, b = _to_oklab(_rgb(colour))
    dark = _luminance(_rgb(ground)) <= 0.18
    if dark and a * a + b * b < 0.02**2:  # black ink on paper is white ink in the dark, and greys likewise
        lightness = 1 - 0.9 * lightness
    step = 0.01 if dark else -0.01
    shown = _hex(_from_oklab((lightness, a, b)))
    while contrast(shown, ground) < least and 0 < lightness < 1:
        lightness += step
        shown = _hex(_from_oklab((lightness, a, b)))
    return shown
