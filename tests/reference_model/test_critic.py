"""The critic of decoded frames."""

import pytest
import torch
from fye_faster.models.checkpoint import Model
from fye_faster.presets import Preset
from fye_faster.train import critic as module
from fye_faster.train.critic import Critic
from tiny_training import Pixels, trainer, training_set
from torch import Tensor


def frames(rough: float = 0.0) -> Tensor:
    """Four frames (4, 3, 64, 64) of stripes, blurred or not."""
    columns = torch.arange(64.0)
    stripes = torch.sign(torch.sin(columns * 0.8))[None].expand(3, 64, -1)
    shifted = torch.stack([stripes.roll(k, -1) for k in range(4)])
    return torch.lerp(shifted, shifted.mean(-1, keepdim=True), rough)


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(0)
    return Critic(Pixels(), share=0.5)


def learnt(critic: Critic, steps: int) -> list[float]:
    """Its loss over steps in which it sees the same faded frames."""
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    losses = []
    for _ in range(steps):
        drawn, truth = frames(0.5).requires_grad_(), frames()
        distance = Pixels().between(drawn, truth).mean()
        loss = critic(drawn, truth, distance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() - distance.item())
    return losses


def test_it_learns_to_tell_faded_frames_from_their_truth(critic: Critic) -> None:
    losses = learnt(critic, 20)
    assert losses[0] == pytest.approx(1, abs=0.1)  # the hinge of a critic that knows nothing
    assert losses[-1] < 0.5 * losses[0]


def gradients(critic: Critic) -> tuple[Tensor, Tensor, Tensor]:
    """Of faded frames: what the model gets, what the distance alone would give it, and the way to the truth."""
    drawn, truth = frames(0.5).requires_grad_(), frames()
    distance = Pixels().between(drawn, truth).mean()
    (alone,) = torch.autograd.grad(distance, drawn, retain_graph=True)
    value = critic(drawn, truth, distance)
    (got,) = torch.autograd.grad(value, drawn)
    return got, alone, truth - drawn.detach()


def test_it_is_silent_before_it_knows_something(critic: Critic) -> None:
    got, alone, _ = gradients(critic)
    torch.testing.assert_close(got, alone)


def test_its_gradient_has_its_share_and_leads_away_from_fading(
    critic: Critic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENT", 10)
    monkeypatch.setattr(module, "_RISE", 10)
    learnt(critic, 20)
    for _ in range(100):  # the weight settles
        got, alone, better = gradients(critic)
    own = got - alone
    assert own.norm() / alone.norm() == pytest.approx(0.5, rel=0.1)
    assert (own * better).sum() < 0


def test_what_it_returns_is_the_distance_and_its_own_loss(critic: Critic) -> None:
    drawn, truth = frames(0.5).requires_grad_(), frames()
    values = [critic(drawn, truth, (drawn - truth).square().mean() + c).item() for c in (0.0, 2.0)]
    assert values[1] - values[0] == pytest.approx(2, abs=1e-5)
    same = critic(drawn, drawn.detach(), (drawn - truth).square().mean() * 0)
    assert same.item() == pytest.approx(1)


def test_only_heads_learn_from_its_loss_and_only_frames_from_the_distance(critic: Critic) -> None:
    drawn, truth = frames(0.5).requires_grad_(), frames()
    critic(drawn, truth, (drawn * 0).sum()).backward()
    assert drawn.grad is not None
    assert drawn.grad.norm() == 0
    heads = [head[-1].weight.grad for head in critic.heads]
    assert all(gradient is not None and gradient.norm() > 0 for gradient in heads)


def test_there_is_one_in_the_last_phase_where_a_network_was_given(tiny: Preset) -> None:
    def critics(perceptual: Pixels | None) -> list[bool]:
        run, found = trainer(tiny, training_set(), None, (0, 0, 0, 0), perceptual), []
        for run.phase in range(4):
            run._start_phase()
            found.append(run.critic is not None)
        return found

    assert critics(Pixels()) == [False, False, False, True]
    assert critics(None) == [False] * 4


def test_a_training_teaches_it_and_keeps_nothing_of_it(tiny: Preset) -> None:
    run = trainer(tiny, training_set(), None, (0, 0, 0, 3), Pixels())
    run.phase = 3
    run._start_phase()
    assert isinstance(run.critic, Critic)
    before = [value.clone() for value in run.critic.heads.parameters()]
    run._run_phase(None)
    assert run.critic.steps == 3
    assert not any(map(torch.equal, before, run.critic.heads.parameters()))
    assert run.average.keys() == Model(tiny).state_dict().keys()
