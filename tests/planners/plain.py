"""The rules in plain Python: sets and loops over one row, straight from the formulas. Positions are offsets from 0."""

import math


def levels(length, base):
    """The sets I_1, I_2, …; where the formula's stride is zero, what is left is a level of its own."""
    taken, found, power = set(), [], base
    while len(taken) < length:
        stride = length // power
        level = {k for k in range(length) if k not in taken and (stride == 0 or k % stride == 0)}
        found.append(level)
        taken |= level
        power *= base
    return found


def residues(length, stride):
    """The classes of positions modulo the stride."""
    return [{k for k in range(length) if k % stride == rest} for rest in range(min(stride, length))]


def ceil_log(number, base):
    """The least R with base^R >= number, without floating point."""
    rounds, power = 0, 1
    while power < number:
        rounds, power = rounds + 1, power * base
    return rounds


def best_first(score, among):
    """Positions by falling score, ties to the lower one."""
    return sorted(among, key=lambda k: (-score[k], k))


def equal_counts(size, steps):
    """`size` positions in at most `steps` steps, the remainder going to the first ones."""
    steps = min(steps, size)
    return [size // steps + (1 if t < size % steps else 0) for t in range(steps)]


def entropy_bounded(entropy, masked, gamma):
    order = sorted(masked, key=lambda k: (entropy[k], k))
    taken = order[:1]
    for n in range(1, len(order) + 1):
        values = [entropy[k] for k in order[:n]]
        if sum(values) - max(values) <= gamma:
            taken = order[:n]
    return set(taken)


def confidence_bounded(confidence, masked, tau, least=1):
    return {k for k in masked if confidence[k] >= tau} | set(best_first(confidence, masked)[:least])


def discounted_cost(entropy, order, share):
    """The sum over all of `order` but its last of their entropies, each by its largest share over the later ones."""
    pairs = [(j, order[place + 1 :]) for place, j in enumerate(order[:-1])]
    return sum(entropy[j] * max(share(abs(j - later)) for later in others) for j, others in pairs)


def powers(rho):
    return lambda distance: rho ** (distance - 1)


def discounted(entropy, among, gamma, share):
    taken = []
    for k in best_first([-value for value in entropy], among):
        if not taken or discounted_cost(entropy, [*taken, k], share) <= gamma:
            taken.append(k)
    return set(taken)


def klass(confidence, now, before, masked, tau, kl):
    ready = {k for k in masked if confidence[k] > tau and now[k] < kl and before[k] < kl}
    return ready or set(best_first(confidence, masked)[:1])


def localleap(confidence, masked, tau, relaxed, radius):
    anchors = {k for k in masked if confidence[k] >= tau}
    near = {k for k in masked if any(abs(k - anchor) <= radius for anchor in anchors)}
    return anchors | {k for k in near if confidence[k] >= relaxed} | set(best_first(confidence, masked)[:1])


def prophet_commits(confidence, margin, masked, initially, thresholds):
    """Whether all that is masked is taken at once."""

    def gap(k):
        return math.log(max(confidence[k], 1e-7)) - math.log(max(confidence[k] - margin[k], 1e-7))

    gone = 1 - len(masked) / len(initially)
    early, mid, late = thresholds
    needed = early if gone < 0.33 else mid if gone < 0.67 else late
    return sum(map(gap, masked)) / len(masked) >= needed


def wino(confidence, now, masked, unmasked, latest, wide, narrow):
    """What is unmasked and what is taken back."""
    sure = [k for k in best_first(confidence, masked) if confidence[k] > wide]
    draft = set(sure[: min(max(int(len(masked) * 0.7), 5), 20)]) or set(best_first(confidence, masked)[:1])
    doubtful = best_first([-value for value in now], {k for k in unmasked if now[k] < narrow})
    if len(doubtful) >= latest:
        doubtful = doubtful[: max(latest - 1, 0)]
    return draft, set(doubtful[: len(draft) - 1])


def factor(confidence, masked, f):
    order = best_first(confidence, masked)
    taken = order[:1]
    for n in range(1, len(order) + 1):
        if (n + 1) * (1 - confidence[order[n - 1]]) < f:
            taken = order[:n]
    return set(taken)


def spaced(score, selected, masks_left, length, initial_gap):
    gap = max(2, math.floor(masks_left * initial_gap / length))
    kept = []
    for k in best_first(score, selected):
        if all(abs(k - other) >= gap for other in kept):
            kept.append(k)
    return set(kept)


def deferred(confidence, selected, threshold):
    sure = {k for k in selected if confidence[k] >= threshold}
    return sure or set(best_first(confidence, selected)[:1])


def saber(confidence, now, then, masked, unmasked, n):
    """What is unmasked and what is taken back."""
    tau = sum(then[k] for k in unmasked) / len(unmasked) if unmasked else 1
    draft = {k for k in masked if confidence[k] > tau}
    if len(draft) < n:
        draft = set(best_first(confidence, masked)[:n])
    number = min(max(n // 2, math.ceil(len(draft) / 8)), len(draft) - 1)
    if draft == masked:
        number = 0
    fall = {k: then[k] - now[k] for k in unmasked}
    return draft, set(best_first(fall, unmasked)[: max(number, 0)])


def remdm_chances(then, unmasked, step, steps):
    """With what probability each unmasked position is taken back; at step 0 there is none."""
    if not unmasked:
        return {}
    largest = max(0, min(1, (1 - (step + 1) / steps) / (step / steps)))
    total = sum(math.exp(-then[k]) for k in unmasked)
    return {k: math.exp(-then[k]) / total * largest for k in unmasked}


def remdm_selected(confidence, masked, kept, step, size, steps):
    """The most confident masked positions, up to the share (step + 1) / steps of all."""
    target = math.floor((step + 1) * size / steps + 0.5)
    return set(best_first(confidence, masked)[: max(0, target - kept)])
