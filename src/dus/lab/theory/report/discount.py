"""The statement that the discounted entropy bound rests on, its proof, and what it leaves open."""

SECTION = """## The discounted entropy bound

`deb` takes a set A by rising entropy while Σ H_j ρ^(d_j - 1) ≤ γ, with d_j the distance to the nearest position taken
after j. All quantities are conditional on the tokens revealed so far. Number the positions of A as they were taken:
a_1 is the surest, a_k the most uncertain, and L_j = {a_{j+1}, …, a_k} is what was taken after a_j.

**Statement.** (1) The total correlation of A is exactly Σ_{j<k} I(X_{a_j}; X_{L_j}), and at most Σ_{j<k} H(X_{a_j}),
which is EB's bound. (2) If I(X_{a_j}; X_{L_j}) ≤ ρ^(d_j - 1) H(X_{a_j}) for each j < k, it is at most what `deb` sums.
(3) Let X be a first-order chain, also given what is revealed, and let each step between neighbours, read in either
direction, be a channel that leaves at most η < 1 of a divergence. Then, with l_j and r_j the distances from a_j to
the nearest member of L_j on its left and on its right, and η^(∞ - 1) = 0,

    TC(A) ≤ Σ_{j<k} H(X_{a_j}) [ 1 - (1 - η^(l_j - 1)) (1 - η^(r_j - 1)) ].

**Proof.** (1) By the chain rule from the end, H(X_A) = H(X_{a_k}) + Σ_{j<k} H(X_{a_j} | X_{L_j}). Subtract it from the
sum of the entropies; mutual information is at most entropy.
(2) Put the assumption into (1). (3) In a chain, X_i depends
on L only through its nearest members on both sides, X_l and X_r. The strong data processing inequality, used for
all steps
but the one beside i, gives I(X_i; X_l) ≤ η^(i - l - 1) H(X_i). Given X_l, the steps from i to r are the same
channels, so I(X_i; X_r | X_l) ≤ η^(r - i - 1) H(X_i | X_l) = η^(r - i - 1) [H(X_i) - I(X_i; X_l)]. The sum of
both grows with I(X_i; X_l), and at that one's bound it is the term above. ∎

**What it does not say.**

- With later positions on one side only, (3) is what `deb` sums, with ρ = η. With some on both sides its term is up to
  twice as large: the nearest distance alone, which `deb` counts, is not proved there, and γ is then to be read as up to
  2γ.
- η is a property of channels, Dobrushin's coefficient at most. It is not the mixing rate, the second eigenvalue
  modulus, to which it may be far from equal; and revealed tokens change the channels.
- The entropies are those of the truth. A trained denoiser's own entropies bound nothing where it is miscalibrated.
- Copies at a distance break the assumption of (2): where X_{i+8} = X_i, they share H(X_i), and a power of ρ < 1 allows
  only ρ^7 of it. No discount by distance that falls everywhere can mend that; a share for each distance can, which
  `deb(file=…)` reads and `dus calibrate --planner deb` measures: [on chains](results/discount.md) it loses nothing
  where tokens are copies at a distance. (2) then reads I(X_{a_j}; X_{L_j}) ≤ s H(X_{a_j}), with s the largest share of
  a distance from a_j to L_j, which is an assumption about pairs where L_j has several members.
- Patience, `f`, is no part of it. It is about greedy answers: Fast-dLLM's theorem says when those of one call are what
  they would have been one by one.
"""
