"""Ways to make a trained model smaller, with the tuning behind them: see `Recipe.shrink`."""

from convgrad.kernels import compression


def zeros(model, dataset, seed, *, share, tuning):
    """The smallest weights become zero at once, and the others are tuned."""
    small = _tuned(compression.prune(model, share), dataset, seed, tuning)
    return compression.compact(small)[0]


def gradual(model, dataset, seed, *, share, tuning):
    """The smallest weights become zero one after the other, while the others are tuned."""
    small, _ = compression.prune_gradually(
        model, share, tuning.training(seed), dataset.train, tuning.epochs
    )
    return compression.compact(small)[0]


def fewer(model, dataset, seed, *, share, tuning):
    """Whole filters and neurons go, and what is left is tuned."""
    return _tuned(compression.remove_filters(model, share), dataset, seed, tuning)


def low_rank(model, dataset, seed, *, share, tuning):
    """Maps become two factors each, which are tuned."""
    return _tuned(compression.factorise(model, share), dataset, seed, tuning)


def levels(model, dataset, seed, *, bits):
    """Weights become levels, with inputs of the validation part to calibrate by."""
    return compression.quantise(model, dataset.validation.inputs, bits)[0]


def levels_tuned(model, dataset, seed, *, tuning):
    """Weights become levels of 8 bits, after tuning with them rounded."""
    examples, training = dataset.validation.inputs, tuning.training(seed)
    return compression.quantise_aware(model, examples, training, dataset.train, tuning.epochs)[0]


def chained(model, dataset, seed, *, share, tuning):
    """Zeros, then levels of 8 bits, and tuning with both by the outputs of the model itself."""
    examples = dataset.validation.inputs
    small, _ = compression.chain(
        model,
        lambda model: compression.prune(model, share),
        lambda model: compression.round_to_levels(model, examples),
        lambda pupil: compression.distil(
            *(model, pupil, tuning.training(seed), dataset.train, tuning.epochs)
        ),
        lambda model: compression.quantise(model, examples),
    )
    return small


def taught(model, dataset, seed, *, student, training, temperature=4.0, weight=0.9):
    """Another network learns from the outputs of the model, its teacher.

    It starts as it does without a teacher, and sees the same examples in the same order.
    """
    pupil = student(dataset.train.inputs.shape[1:], dataset.classes, seed)
    small, _ = compression.distil(
        *(model, pupil, training.training(seed), dataset.train, training.epochs),
        temperature=temperature,
        weight=weight,
    )
    return small


def _tuned(result, dataset, seed, tuning):
    small, _ = result
    tuning.train(small, dataset.train, seed)
    return small
