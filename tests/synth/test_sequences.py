"""Who moves how, who drives whom, and that training never meets a split."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emojibench.errors import UserError
from emojibench.synth.identity import DOMAINS, sample_identity
from emojibench.synth.motion import EXPRESSIONS, HEAD, NEUTRAL, PARAMETERS, sample_motion
from emojibench.synth.sequences import (
    FRAMES,
    SPLIT_SEEDS,
    TRAINING_SEEDS,
    cross_state,
    frames,
    pairing,
    portrait_state,
    sequences,
    training_sequences,
)


@pytest.fixture(scope="module")
def synth():
    return sequences("synth")


def test_counts_domains_and_subjects(synth):
    assert len(synth) == 500
    assert [sum(s.domain == d for s in synth) for d in DOMAINS] == [125] * 4
    assert len({s.subject for s in synth}) == len({s.sequence_id for s in synth}) == 500
    assert {len(s.motion) for s in synth} == {FRAMES}


def test_mini_is_the_beginning_of_synth(synth):
    mini = sequences("mini")
    assert [s.domain for s in mini] == list(DOMAINS)
    for small, large in zip(mini, synth, strict=False):
        assert small.sequence_id == large.sequence_id
        assert small.identity == large.identity
        np.testing.assert_array_equal(small.motion.table, large.motion.table)


def test_unknown_names_are_the_users_error_and_suggest():
    with pytest.raises(UserError, match="did you mean 'synth'"):
        sequences("synht")
    with pytest.raises(UserError, match="did you mean 'cartoon'"):
        sample_identity(0, "cartoons")
    with pytest.raises(ValueError, match="at least 2"):
        sample_motion(0, 1)
    with pytest.raises(ValueError, match="got -1"):
        training_sequences(-1)


def test_training_seeds_are_disjoint_from_every_split(synth):
    assert SPLIT_SEEDS.stop <= TRAINING_SEEDS.start
    split = {seed for s in synth for seed in (s.identity.seed, s.motion.seed)}
    training = {seed for s in training_sequences(600) for seed in (s.identity.seed, s.motion.seed)}
    assert len(split) == 1000
    assert len(training) == 1200
    assert not split & training
    assert split <= set(SPLIT_SEEDS)
    assert all(seed in TRAINING_SEEDS for seed in training)


def test_no_training_sequence_is_one_of_a_split_under_another_seed(synth):
    """The shipped weights saw the first 906, less those without a face."""

    def digests(chosen):
        return {
            hashlib.sha256(content).hexdigest()
            for s in chosen
            for content in (repr(replace(s.identity, seed=0)).encode(), s.motion.table.tobytes())
        }

    split, training = digests(synth), digests(training_sequences(906))
    assert (len(split), len(training)) == (1000, 1812)
    assert not split & training


def test_training_sequences_do_not_depend_on_how_many_are_asked_for():
    assert training_sequences(3)[2].identity == training_sequences(9)[2].identity


@pytest.mark.parametrize("name", ["mini", "synth"])
def test_pairing_is_a_permutation_without_self_pairs(name):
    chosen = sequences(name)
    pair = pairing(chosen)
    assert sorted(pair) == list(range(len(chosen)))
    assert all(chosen[i].subject != chosen[j].subject for i, j in enumerate(pair))
    assert pair == pairing(chosen)


def test_pairing_avoids_the_same_subject_or_says_that_it_cannot(synth):
    shared = [replace(s, subject=f"subject-{i // 2}") for i, s in enumerate(synth[:8])]
    assert all(shared[i].subject != shared[j].subject for i, j in enumerate(pairing(shared)))
    with pytest.raises(ValueError, match="cannot pair"):
        pairing([replace(s, subject="one") for s in synth[:3]])


def test_portrait_is_neutral_and_mildly_turned(synth):
    states = [portrait_state(s) for s in synth]
    for state in states:
        assert all(getattr(state, p) == getattr(NEUTRAL, p) for p in PARAMETERS if p not in HEAD)
        assert abs(state.yaw) <= 10
        assert abs(state.pitch) <= 5
        assert abs(state.roll) <= 4
    assert len({state.yaw for state in states}) > 400


def test_cross_state_takes_rotation_and_expression_absolutely_and_size_relatively(synth):
    portrait, motion = replace(portrait_state(synth[0]), scale=1.05, tx=0.02), synth[1].motion
    for k in (0, 31, 63):
        state, driving = cross_state(portrait, motion, k), motion.at(k)
        assert all(
            getattr(state, p) == getattr(driving, p) for p in PARAMETERS if p not in ("tx", "ty", "scale")
        )
        assert state.scale == pytest.approx(1.05 * driving.scale / motion.at(0).scale)


def test_a_motion_transferred_to_its_own_first_frame_is_itself(synth):
    motion = synth[2].motion
    for k in (0, 20, 63):
        state, own = cross_state(motion.at(0), motion, k), motion.at(k)
        np.testing.assert_allclose([state.tx, state.ty, state.scale], [own.tx, own.ty, own.scale], atol=2e-6)


def test_motions_cover_what_the_documentation_promises(synth):
    peaks = np.array([np.abs(s.motion.yaw).max() for s in synth])
    assert (peaks > 15).all()
    assert 0.3 < (peaks > 35).mean() < 0.5
    assert len(EXPRESSIONS) >= 18
    assert {name for s in synth for name in s.motion.expressions} == set(EXPRESSIONS) - {"neutral"}
    for s in synth:
        assert np.abs(np.diff(s.motion.yaw)).max() < 13
        assert np.abs(np.diff(s.motion.mouth_open)).max() < 0.45


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40), count=st.integers(2, 100))
def test_motions_are_deterministic_bounded_and_finite(seed, count):
    motion = sample_motion(seed, count)
    assert motion.table.shape == (count, len(PARAMETERS))
    assert np.isfinite(motion.table).all()
    np.testing.assert_array_equal(motion.table, sample_motion(seed, count).table)
    assert motion.scale.min() > 0.85
    assert np.abs(motion.gaze_x).max() <= 1
    assert motion.at(count - 1).yaw == motion.yaw[-1]
    with pytest.raises(AttributeError):
        _ = motion.yawn


def test_frames_yields_every_frame_of_a_motion(synth):
    motion = sample_motion(5, 3)
    made = list(frames(synth[0].identity, motion, 64))
    assert [f.shape for f in made] == [(64, 64, 3)] * 3
    assert made[0].dtype == np.uint8
