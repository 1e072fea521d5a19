"""Modifiers, one module each, found by existing: what makes a trained model smaller whatever method trained it.

A recipe lists them by name, with parameters where they need some; they are applied in that order to every variant.
A modifier module has

``Parameters``
    a pydantic model of what recipes may set;
``config(parameters, config)``
    the model configuration after it, from the one before, without weights;
``stage(parameters, model, config, cell)``
    the stage whose artifact is the changed model folder, from the stage that makes ``model`` and its configuration.

Nothing outside this package knows a modifier by name.
"""
