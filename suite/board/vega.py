"""The chart that a reader explores: a Vega-Lite specification by altair, and the library that draws it in a browser.

Both are optional at build time: without altair and vl-convert the site keeps its drawn charts and no other.
Nothing here holds data or colours: ``site/board.js`` fills in the rows, the axis that was chosen and the inks
of the theme, and embeds it with the expression interpreter, so that the pages' policy needs no eval.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from suite import paths

FILE = "vega.js"  # below the site's root
SHAPES = {  # the drawn charts' shapes, by the library's names or paths (a square of side 2 around the origin)
    "circle": "circle",
    "square": "square",
    "diamond": "diamond",
    "triangle": "triangle-up",
    "cross": "cross",
    "star": "M0.00,-1.50L0.38,-0.53L1.43,-0.46L0.62,0.20L0.88,1.21"
    "L0.00,0.65L-0.88,1.21L-0.62,0.20L-1.43,-0.46L-0.38,-0.53Z",
}
PARAMETERS: dict[str, Any] = {  # of the specification; placeholders until the browser fills them
    "lit": "",
    "pinned": [],
    "x_domain": [1, 10],
    "y_domain": [0, 100],
    "x_ticks": [1, 10],
    "x_suffix": "",
    "x_title": "",
    "x_more": True,  # more is better
    "y_title": "",
    "left": 40,
    "k": 1,  # size over that of the drawn chart
    **dict.fromkeys(("ink", "soft", "rule"), "#777777"),
}


def available() -> bool:
    """Whether the packages that make the script are here."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def script() -> bytes | None:
    """The library and the specification as one script; None where the packages are missing."""
    if not available():
        return None
    told = json.dumps({"spec": specification(), "shapes": SHAPES}, sort_keys=True)
    return (
        f"(() => {{\n{_library()}\n}})();\nglobalThis.lightboardChart = {told};\n".encode()
    )  # its names stay its own


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed, bundled once per version (it takes seconds) and kept beside the store."""
    import vl_convert

    version = importlib.metadata.version("vl-convert-python")
    kept = paths.store_root() / "site" / f"vega-{version}.js"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(bundle)
        Path(name).replace(kept)
    except OSError:
        pass  # a cache, no more
    return bundle


def specification() -> dict[str, Any]:
    """Layers from the ground up: baselines, front, families, intervals, points, ring, titles of the axes.

    Data, filled in the browser: ``points`` (id, x, x_low, x_high, y, y_low, y_high, hue, fill, stroke, shape,
    family, size, noisy, reference, reported), ``front`` (x, y, order), ``lines`` (y, label, below: place at the lower
    edge of one that lies under the chart, else -1). Parameters hold the axes, the
    inks, and which row is lit or pinned; ``brush`` is a selection over both axes.
    """
    import altair as alt

    def plain(kind: type[Any], field: str) -> Any:
        """A channel whose field holds what is drawn: no scale between."""
        return kind(field, scale=None, legend=None)

    x_axis = alt.Axis(
        title=None,
        grid=False,
        domainColor=alt.expr("soft"),
        tickColor=alt.expr("soft"),
        labelColor=alt.expr("soft"),
        tickSize=4,
        values=alt.expr("x_ticks"),
        labelExpr="format(datum.value, ',~r') + x_suffix",
        labelOverlap="greedy",
    )
    y_axis = alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        gridColor=alt.expr("rule"),
        labelColor=alt.expr("soft"),
        labelPadding=6,
        tickCount=6,
    )
    x_scale = alt.Scale(type="log", nice=False, domain=alt.expr("x_domain"))
    y_scale = alt.Scale(zero=False, nice=False, domain=alt.expr("y_domain"))
    x, y = alt.X("x:Q", scale=x_scale, axis=x_axis), alt.Y("y:Q", scale=y_scale, axis=y_axis)
    hue = plain(alt.Stroke, "hue:N")

    rows = alt.Chart(alt.NamedData(name="points"))
    words = alt.Chart(alt.NamedData(name="lines"))
    lines = words.transform_filter("datum.below < 0").mark_rule(strokeDash=[4, 3], color=alt.expr("soft"))
    front = alt.Chart(alt.NamedData(name="front")).mark_line(
        strokeWidth=4, strokeJoin="round", color=alt.expr("rule"), clip=True
    )
    families = rows.mark_line(strokeWidth=1.5, opacity=0.75)
    wide = rows.transform_filter("datum.x_low !== null").mark_rule(strokeWidth=1.25, clip=True)
    tall = rows.transform_filter("datum.y_low !== null").mark_rule(strokeWidth=1.25, clip=True)
    rings = rows.transform_filter("datum.reference || datum.id === lit || indexof(pinned, datum.id) >= 0")
    titles = alt.Chart(alt.InlineData(values=[{}]))
    marks = rows.mark_point(cursor="pointer", strokeJoin="round").encode(
        x=x,
        y=y,
        shape=plain(alt.Shape, "shape:N"),
        size=alt.Size("size:Q", scale=None, legend=None),
        fill=plain(alt.Fill, "fill:N"),
        stroke=plain(alt.Stroke, "stroke:N"),
        strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
        strokeDash=alt.condition("datum.reported", alt.value([2.5, 2]), alt.value([1, 0])),
    )
    brush = alt.selection_interval(
        name="brush", encodings=["x", "y"], mark=alt.BrushConfig(fillOpacity=0.08, strokeOpacity=0.5)
    )
    layers = [
        lines.encode(y=y),
        words.transform_filter("datum.below < 0")
        .mark_text(align=alt.expr("x_more ? 'right' : 'left'"), dy=-8, color=alt.expr("soft"))
        .encode(x=alt.value(alt.expr("x_more ? width - 2 : 4")), y=y, text="label:N"),
        words.transform_filter("datum.below >= 0")
        .mark_text(align="left", color=alt.expr("soft"))
        .encode(x=alt.value(4), y=alt.value(alt.expr("height - (8 + 15 * datum.below) * k")), text="label:N"),
        front.encode(x=x, y=y, order=alt.Order("order:Q")),
        families.encode(x=x, y=y, stroke=hue, detail="family:N", order=alt.Order("x:Q")),
        wide.encode(
            x=alt.X("x_low:Q"),
            x2="x_high:Q",
            y=y,
            stroke=hue,
            strokeDash=alt.condition("datum.noisy", alt.value([4, 3]), alt.value([1, 0])),
        ),
        tall.encode(x=x, y=alt.Y("y_low:Q"), y2="y_high:Q", stroke=hue),
        marks.add_params(brush).properties(name="marks"),
        rings.mark_point(shape="circle", filled=False, stroke=alt.expr("ink"), fill=None).encode(
            x=x,
            y=y,
            size=alt.condition("datum.id === lit", alt.value(520), alt.value(314)),
            strokeWidth=alt.condition("datum.id === lit", alt.value(2.5), alt.value(1.25)),
        ),
        titles.mark_text(align="right", text=alt.expr("x_title"), color=alt.expr("soft")).encode(
            x=alt.value("width"), y=alt.value(alt.expr("height + 38 * k"))
        ),
        titles.mark_text(align="left", text=alt.expr("y_title"), color=alt.expr("soft")).encode(
            x=alt.value(alt.expr("-left")), y=alt.value(-20)
        ),
    ]
    chart = alt.layer(*layers).add_params(*(alt.param(name=name, value=v) for name, v in PARAMETERS.items()))
    chart = chart.configure_view(stroke=None).configure_axis(labelFontSize=12.5).configure_text(fontSize=12)
    found: dict[str, Any] = chart.properties(autosize="none", background="transparent").to_dict()
    return found
