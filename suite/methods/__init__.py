"""Methods, one module each, found by existing.

A method module has

``Parameters``
    a pydantic model of what its recipes may set;
``students(parameters, track, outputs)``
    variant -> model configuration, without weights (enough for size and arithmetic);
``plan(parameters, cell)``
    variant -> the stage whose artifact is that variant's model folder;
``tokenizer(parameters, track)``
    optional: the :class:`suite.pipeline.cell.Tokenizer` its models read, None for the track's. The cell that
    ``plan`` is given, scores and timing are then in those tokens.

Nothing outside this package knows a method by name.
"""
